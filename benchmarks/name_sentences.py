"""No benchmark, but sentences made up to teach the tagger of names: forms with blanks, and what fills them.

`{person}` and the like are filled with names of many countries by Faker; where each lies is known, so nobody needs to
tag these. Everything else in a form is no name, whatever capitals it has.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any


def _each(words: str) -> list[str]:
    return words.split()


FORMS = """
My name is {person}.|my name is {person} and i need help|Hi, I'm {first}.|Hello, this is {person} speaking.
Hi {first}, thanks for getting back to us.|Dear {title} {last},|Dear {person},|Best regards,\n{person}
Kind regards\n{person}\n{job}\n{org}|Thanks,\n{first}|Cheers, {first}|Sincerely,\n{person}, {job}
Regards {first} {last}|Please forward this to {person} at {org}.
I spoke with {first} from your support team yesterday.|{person} called about her order and wants a refund.
The account belongs to {person}, born in {city}.|Could you change the name on my account to {person}?
It is under my partner's name, {person}.|{first} and {first} are coming to {city} next week.
We met {first}, {first} and {first} at the Christmas party.|{person} works for {org} in {city}.
{person}, who joined {org} in 2019, leads the Sales Department.|I work for {org}.|i work at {org} in {city}
{org} is a software company based in {city}, {country}.
{org} announced on Monday that it will open an office in {country}.|Shares of {org} fell 3% after the report.
The CEO of {org}, {person}, resigned on Tuesday.|{org} v. {org} was decided by the Supreme Court.
Invoice from {org} for the month of March.|Bill to: {person}\n{address}|Ship to:\n{person}\n{address}
Send it to {person}, {address}.|My address is {address}.|I live at {address}, can you deliver there?
The restaurant is at {address}.|Deliver to {address} before Friday, please.|we moved from {city} to {city} in May
I am travelling to {country} next month.|She moved here from {country}.|What is the weather in {city} today?
Book me a flight from {city} to {city} on Saturday.|is there a train from {city} to {city}
The bridge in {city} is closed.|{city} is the capital of {country}.|{country} won the match against {country}.
People in {country} speak English.|She named him {first}.|Is {first} there?|have you heard {person} speak yet?
Have you seen {first} today?|{first}, can I please speak to your boss?|What's your name? {person}|Name: {person}
Customer: {person}, Phone: 555 0100|Patient {person} was admitted with chest pain.
Dr. {last} prescribed Ibuprofen for {title} {last}.|{title} {last} said: "I'm glad to hear that."
"I never said that," said {first} to {first}.|{first}: Hi!\n{first}: Hello, how are you?
[10:22] {first}: can you review my pull request?\n[10:23] {first}: sure|@{first} please have a look
From: {person}\nTo: {person}\nSubject: Meeting on Thursday|On Monday, {person} wrote:|CC: {person}; {person}
{last}, {first}|{last}, {first}: History of Europe. Oxford University Press, 1998.
{first} {initial}. {last} is our new manager.|{initial}. {last} et al. (2017) report the same.
as {last} and {last} have shown|The {last} family lives next door.|{first}'s brother just turned 60.
I gave {first}'s book to {person}.|This song was written by {person} in 1977.
{person} sang "Smells Like Teen Spirit" in {city}.
One of my favourite films is directed by {person} and stars {person}.|In 1980, {org} invested heavily in {city}.
During 2004, {org} grew fast.|{org}'s office is in {address}.|My brother {first} lives on {street} in {city}.
Meet me at the corner of {street} and {street}.|turn left on {street}|The claim of {person} against {org} was settled.
Contact {person} ({job}) for details.|{person} - {job} - {org}|{person}\n{org}\n{address}\nPhone: 555-0100
{org}\n{address}|>{person}\n>{org}\n>{address}|??? {person}\n??? {org}
Energetic and driven salesperson with 8 years of experience.\n\n{person}\n{job}
{person}\n\n{job}\n\nPersonal Info:\nPhone:\n555 0100|User: {person} <user@example.com>
Signed by {person} on 12 March 2020.|{person} (witness)|Attorney {person} represents {org}.
My teacher, Mrs. {last}, lives in {city}.|Professor {last} teaches Physics at the University of {city}.
Sir {last} will see you now.|I'd like to open an account for my daughter {first}.
please add {person} as guardian for my child's account|bot: what is your name? user: {person}
agent: Good morning, {first}. How may I help?|Who is {person}?|Why is {first} so impulsive?|Tell {first} I said hello.
{first} is a very kind person.|So jealous! said {first} to {first}.|Wake up, {first}!|Don't go to town, {first}!
{first} has 5 apples and gives 2 to {first}. How many does {first} have left?
Yesterday {first} ran 3 miles while {first} ran 4.|If {first} earns $10 an hour, how much does he earn in a week?
Compared with {person}, {person} is taller.|{person} and {person} got married in {city} in June.
Ask {first} or {first}.|The President of {country}, {person}, arrived in {city} on Sunday.
{nation} Border Police detained {person} in {city}.|The government of {country} signed the treaty.
{person} was born on 2/8/1935 in {city}, {country}.|Lieutenant {last} reported to General {last}.
Princess {first} smiled.|Uncle {first} and Aunt {first} visited us.
Meine Nummer hat sich geändert. Viele Grüße, {person}|Sehr geehrte Frau {last}, vielen Dank für Ihre Nachricht.
Sehr geehrter Herr Dr. {last},|Ich heiße {person} und wohne in {city}.|Die {org} sitzt in {city}.
Herr {last} wohnt in der {street}.|Bonjour, je m'appelle {person}.|Madame {last} habite à {city}.
Monsieur {last} travaille chez {org}.|Cordialement, {person}|Hola, me llamo {person}.|La señora {last} vive en {city}.
Estimado señor {last}:|Trabajo en {org} desde 2015. Saludos, {first}|Ciao, sono {person}.
Il signor {last} abita a {city}.|Olá, meu nome é {person}.|Moro em {city}, trabalho na {org}.
Hallo, mijn naam is {person}.|Nazywam się {person} i mieszkam w {city}.|Hej, jag heter {person}.|Terveisin {person}
Cancel my card please, I am {person} and I lost it in {city}.|Reach me via {person} at {org}, extension 12.
The {last} Orchestra was founded in 1977 and plays in {city}.|{last} and Sons|Mr. and Mrs. {last}|{first} & {first}
"{first}! Where are you?"|Happy birthday {first}|Congratulations, {first} {last}!
{first} (my sister) and I went to {country}.|Complaint filed by {person} against {org}, {city} branch, on Wednesday.
Account holder - {person}|Beneficiary: {person}, {city}|ID card of {person} expired
I saw {first} {last} and {first} {last} downtown.|Guests: {first}, {first}, {person} and {person}.
{org} and {org} merged in 1999.|The {org} app does not work on my iPhone.|{org} vs {org}
My employer {org} pays in Euro.
{first}: I do not know.\n{first}: Why not?\n{first}: Because.|The founders are {last}, {last} and {last}.
They invited {first}, {first}, {first} and {first}.|Written by {person}\nMusic by {person}
{person} gives a talk on Monday.
{first} looked at {first}: "Really?"|"Listen, {first}," he said.
a comedy with {person} and {last}|{last}, {last} and {last} agreed.
{person} of {org} was named Manager of the Year, before {person} of {org}.|On the list: {person}, {last}, and {first}.
{first} {initial} {last} (chair), {person} (treasurer)|Remember me, {first}?|i saw {first} and {first} at the party
oh {first}, leave me alone|my boss is {person}, her number is 555 0100|{nation} singer {person} won the Prize
"""
PLAIN = """
How do I open my credit card statement?|What are my options?|Please Help Me With My Order
The Quick Start Guide is on page 5.|I need it by Monday, or Tuesday at the latest.
In January and February the office is closed.|Happy New Year!|Merry Christmas!
My iPhone 12 and my MacBook Pro do not connect over Bluetooth.|I speak English, German and some Spanish.
HTTP Error 404: Not Found|The API returns JSON, not XML.|WARNING: do not open|TODO: Fix This Later
ERROR Connection refused|Order Number: A1234|Invoice Date: 12 March 2021|Subject: Password Reset
Title VII of the Civil Rights Act protects individuals.
Capitalized words like Wisdom and Discipline are often mistaken with names.|3... 2... 1... liftoff!|Excuse me, Sir bot
The Internet of Things is a Big Deal.|Deep Learning with Python|Terms And Conditions Apply|Yes. No. Maybe. Sure!
I'd like a Cappuccino and a Croissant, please.|Labor Day is in September.|The Battle of Wits begins at Noon.
Can You Tell Me What Is Wrong?|Thank You So Much For Your Help|Black Friday Sale: Buy One Get One Free
Chapter One: The Beginning|Section 3.2 Methods|Table 1 shows Results|Good Morning! Good Evening!|Dear Customer,
Dear Sir or Madam,|Hello Team,|Hi All,|Kind Regards|Best Wishes|Yours Sincerely|The Bible and the Koran
A Dollar is not a Euro.|Step 1: Preheat the Oven|I have a Golden Retriever and a Siamese cat.|Vitamin C and Aspirin
My Visa card and my Mastercard were declined.|SELECT Name FROM Users WHERE Id = 5
Click Settings, then Privacy, then Delete Account.|Sincerely Yours|To Whom It May Concern
"""
TITLES = (
    "Mr.",
    "Mrs.",
    "Ms.",
    "Dr.",
    "Mr",
    "Mrs",
    "Ms",
    "Miss",
    "Prof.",
    "Herr",
    "Frau",
    "Sr.",
    "Sra.",
    "Mme",
    "M.",
    "mr.",
)
LOCALES = _each(
    "en_US en_GB en_IN en_AU en_CA en_NZ en_IE de_DE de_AT de_CH fr_FR fr_CH es_ES es_MX es_CO it_IT pt_BR "
    "pt_PT nl_NL nl_BE pl_PL cs_CZ sk_SK hu_HU ro_RO sv_SE no_NO da_DK fi_FI tr_TR hr_HR sl_SI el_GR ru_RU "
    "uk_UA bg_BG id_ID fil_PH et_EE lv_LV lt_LT ga_IE az_AZ"
)
NATIONS = ("Japanese", "German", "French", "Polish", "Spanish", "Greek", "Czech", "Irish")
BLANK = re.compile(r"\{(\w+)\}")
TAG = {"person": 1, "first": 1, "last": 1, "initial": 1, "org": 2, "city": 3, "country": 3, "address": 4, "street": 4}
Spans = list[tuple[int, int, int]]


def forms(words: str) -> list[str]:
    return [form.replace("\\n", "\n") for line in words.strip().splitlines() for form in line.split("|") if form]


class Filler:
    """Gives each blank a value: names of people, firms and places of one country after the other."""

    def __init__(self, faker: Any, seed: int, first_names: Sequence[str]) -> None:
        """`faker` is the class of that name; `first_names` are more of those, in small letters."""
        self.chance = random.Random(seed)
        self.fakers: list[Any] = []
        for locale in LOCALES:
            made = faker(locale)
            made.seed_instance(seed)
            self.fakers.append(made)
        self._first_names = first_names

    def fill(self, form: str) -> tuple[str, Spans]:
        """A form's text, and where which tag lies in it."""
        faker = self.chance.choice(self.fakers)
        text, spans, done = "", list[tuple[int, int, int]](), 0
        for found in BLANK.finditer(form):
            text += form[done : found.start()]
            value = self.value(found[1], faker)
            if found[1] in TAG:
                spans.append((len(text), len(text) + len(value), TAG[found[1]]))
            text, done = text + value, found.end()
        return text + form[done:], spans

    def value(self, blank: str, faker: Any) -> str:
        made: Callable[[], str] = {
            "person": lambda: self._person(faker),
            "first": lambda: self._first(faker),
            "last": faker.last_name,
            "initial": lambda: self.chance.choice("ABCDEFGHIJKLMNOPRSTVW"),
            "title": lambda: self.chance.choice(TITLES),
            "org": lambda: self._firm(faker),
            "city": faker.city,
            "country": lambda: self._country(faker),
            "address": lambda: self._address(faker),
            "street": lambda: faker.street_name(),
            "job": lambda: self.fakers[0].job(),
            "nation": lambda: self.chance.choice(NATIONS),
        }[blank]
        return str(made())

    def _first(self, faker: Any) -> str:
        if self.chance.random() < 0.3:
            return self.chance.choice(self._first_names).capitalize()
        return faker.first_name()

    def _person(self, faker: Any) -> str:
        first, last, drawn = self._first(faker), faker.last_name(), self.chance.random()
        initial = self.chance.choice("ABCDEFGHIJKLMNOPRSTVW")
        for share, name in (
            (0.12, first),
            (0.17, last),
            (0.3, f"{first} {initial}. {last}"),
            (0.34, f"{first} {initial} {last}"),
            (0.4, f"{first} {self._first(faker)} {last}"),
            (0.43, f"{first}-{self._first(faker)} {last}"),
            (0.46, f"{first} {last}".upper()),
        ):
            if drawn < share:
                return name
        return f"{first} {last}"

    def _firm(self, faker: Any) -> str:
        drawn = self.chance.random()
        if drawn < 0.5:
            return faker.company()
        word = self.fakers[0].word().capitalize()
        other = self.fakers[0].word().capitalize()
        if drawn < 0.75:
            return word + self.chance.choice(
                ("ly", "tech", "soft", "io", "bank", "media", "data", "works", "net", "ify")
            )
        endings = (
            "Inc",
            "Ltd",
            "LLC",
            "Group",
            "Systems",
            "Corporation",
            "Analytics",
            "Bank",
            "Insurance",
            "Partners",
            "Technologies",
            "Consulting",
            "Holdings",
            "Software",
            "University",
            "Institute",
        )
        return f"{word} {other + ' ' if drawn < 0.85 else ''}{self.chance.choice(endings)}"

    def _country(self, faker: Any) -> str:
        return faker.country() if self.chance.random() < 0.3 else self.fakers[0].country()

    def _address(self, faker: Any) -> str:
        number, street, city = self.chance.randrange(1, 9999), faker.street_name(), faker.city()
        code = faker.postcode()
        return self.chance.choice(
            (
                f"{street} {number % 300}, {code} {city}",
                f"{number} {street}, {city}",
                f"{number} {street}\n{city}\n{code}",
                f"{street} {number % 300}",
                f"{number} {street} Apt. {number % 900}, {city} {code}",
                f"{street} {number % 300}\n Suite {number % 900}\n {city}\n {code}",
            )
        )
