"""No benchmark, but sentences that were written for one: the same five in fourteen languages."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Where can I see the status of my order?",
        "The meeting was moved to Thursday because half of the team is travelling.",
        "Please summarise the attached contract in three sentences.",
        "How do I reset my password if I no longer have access to my phone?",
        "Our washing machine leaks water whenever it starts to spin.",
    ),
    "de": (
        "Wo kann ich den Stand meiner Bestellung sehen?",
        "Die Besprechung wurde auf Donnerstag verlegt, weil das halbe Team verreist ist.",
        "Bitte fasse den beigefügten Vertrag in drei Sätzen zusammen.",
        "Wie setze ich mein Passwort zurück, wenn ich mein Telefon nicht mehr habe?",
        "Unsere Waschmaschine verliert Wasser, sobald sie schleudert.",
    ),
    "fr": (
        "Où puis-je voir l'état de ma commande ?",
        "La réunion a été reportée à jeudi parce que la moitié de l'équipe voyage.",
        "Veuillez résumer le contrat ci-joint en trois phrases.",
        "Comment réinitialiser mon mot de passe si je n'ai plus mon téléphone ?",
        "Notre machine à laver perd de l'eau dès qu'elle essore.",
    ),
    "es": (
        "¿Dónde puedo ver el estado de mi pedido?",
        "La reunión se aplazó al jueves porque medio equipo está de viaje.",
        "Resume el contrato adjunto en tres frases, por favor.",
        "¿Cómo restablezco mi contraseña si ya no tengo mi teléfono?",
        "Nuestra lavadora pierde agua cada vez que centrifuga.",
    ),
    "it": (
        "Dove posso vedere lo stato del mio ordine?",
        "La riunione è stata spostata a giovedì perché metà della squadra è in viaggio.",
        "Riassumi il contratto allegato in tre frasi, per favore.",
        "Come reimposto la password se non ho più il telefono?",
        "La nostra lavatrice perde acqua ogni volta che centrifuga.",
    ),
    "pt": (
        "Onde posso ver o estado da minha encomenda?",
        "A reunião foi adiada para quinta-feira porque metade da equipa está a viajar.",
        "Resuma o contrato em anexo em três frases, por favor.",
        "Como redefino a minha senha se já não tenho o telemóvel?",
        "A nossa máquina de lavar perde água sempre que centrifuga.",
    ),
    "nl": (
        "Waar kan ik de status van mijn bestelling zien?",
        "De vergadering is verplaatst naar donderdag omdat het halve team op reis is.",
        "Vat het bijgevoegde contract samen in drie zinnen.",
        "Hoe stel ik mijn wachtwoord opnieuw in als ik mijn telefoon niet meer heb?",
        "Onze wasmachine lekt water zodra hij begint te centrifugeren.",
    ),
    "pl": (
        "Gdzie mogę sprawdzić stan mojego zamówienia?",
        "Spotkanie przeniesiono na czwartek, bo połowa zespołu podróżuje.",
        "Proszę streścić załączoną umowę w trzech zdaniach.",
        "Jak zresetować hasło, jeśli nie mam już telefonu?",
        "Nasza pralka przecieka, gdy tylko zaczyna wirować.",
    ),
    "sv": (
        "Var kan jag se status för min beställning?",
        "Mötet flyttades till torsdag eftersom halva laget är på resa.",
        "Sammanfatta det bifogade avtalet i tre meningar, tack.",
        "Hur återställer jag mitt lösenord om jag inte har kvar min telefon?",
        "Vår tvättmaskin läcker vatten så fort den börjar centrifugera.",
    ),
    "tr": (
        "Siparişimin durumunu nereden görebilirim?",
        "Ekibin yarısı seyahatte olduğu için toplantı perşembeye alındı.",
        "Lütfen ekteki sözleşmeyi üç cümlede özetleyin.",
        "Telefonum artık yoksa şifremi nasıl sıfırlarım?",
        "Çamaşır makinemiz sıkmaya başlar başlamaz su kaçırıyor.",
    ),
    "ru": (
        "Где я могу посмотреть статус моего заказа?",
        "Встречу перенесли на четверг, потому что половина команды в отъезде.",
        "Пожалуйста, перескажите приложенный договор в трёх предложениях.",
        "Как сбросить пароль, если у меня больше нет телефона?",
        "Наша стиральная машина протекает, как только начинает отжимать.",
    ),
    "zh": (
        "我在哪里可以查看我的订单状态?",
        "会议改到星期四,因为一半的团队成员在出差。",
        "请用三句话总结附件中的合同。",
        "如果我的手机不在了,怎么重置密码?",
        "我们的洗衣机一开始脱水就漏水。",
    ),
    "ja": (
        "注文の状況はどこで確認できますか。",
        "チームの半分が出張中なので、会議は木曜日に変更されました。",
        "添付の契約書を三文で要約してください。",
        "電話がもう手元にない場合、パスワードはどうやって再設定しますか。",
        "うちの洗濯機は脱水が始まるとすぐに水が漏れます。",
    ),
    "ar": (
        "أين يمكنني رؤية حالة طلبي؟",
        "تم تأجيل الاجتماع إلى يوم الخميس لأن نصف الفريق مسافر.",
        "يرجى تلخيص العقد المرفق في ثلاث جمل.",
        "كيف أعيد تعيين كلمة المرور إذا لم يعد هاتفي معي؟",
        "غسالتنا تسرب الماء كلما بدأت في العصر.",
    ),
}
