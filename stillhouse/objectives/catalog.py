"""Every objective, its class and its paper: one explicit list."""

from __future__ import annotations

from types import MappingProxyType

from stillhouse.objectives import cross_tokenizer, feature, preference, rationale, relation, response

__all__ = ["CATALOG"]

CATALOG = MappingProxyType(
    {
        "cross_entropy": (response.CrossEntropy, "maximum likelihood; smoothed: arxiv.org/abs/1512.00567"),
        "forward_kl": (response.ForwardKL, "arxiv.org/abs/1503.02531"),
        "reverse_kl": (response.ReverseKL, "arxiv.org/abs/2306.08543"),
        "jensen_shannon": (response.JensenShannon, "arxiv.org/abs/2306.13649"),
        "skewed_forward_kl": (response.SkewedForwardKL, "arxiv.org/abs/2402.03898"),
        "skewed_reverse_kl": (response.SkewedReverseKL, "arxiv.org/abs/2402.03898"),
        "total_variation": (response.TotalVariation, "arxiv.org/abs/2307.15190"),
        "logit_mse": (response.LogitMSE, "arxiv.org/abs/1312.6184"),
        "decoupled_kd": (response.DecoupledKD, "arxiv.org/abs/2203.08679"),
        "dist": (response.DIST, "arxiv.org/abs/2205.10536"),
        "standardised_kl": (response.StandardisedKL, "arxiv.org/abs/2403.01427"),
        "universal_logit": (cross_tokenizer.UniversalLogit, "arxiv.org/abs/2402.12030"),
        "shared_vocabulary_kl": (cross_tokenizer.SharedVocabularyKL, "huggingface.co/docs/trl/gold_trainer"),
        "chunk_likelihood": (cross_tokenizer.ChunkLikelihood, "arxiv.org/abs/2503.20083"),
        "hidden_states": (feature.HiddenStates, "arxiv.org/abs/1412.6550"),
        "hidden_cosine": (feature.HiddenCosine, "arxiv.org/abs/1910.01108"),
        "attention_kl": (feature.AttentionKL, "arxiv.org/abs/2002.10957"),
        "attention_mse": (feature.AttentionMSE, "arxiv.org/abs/1909.10351"),
        "attention_transfer": (feature.AttentionTransfer, "arxiv.org/abs/1612.03928"),
        "embedding_cosine": (feature.EmbeddingCosine, "arxiv.org/abs/1910.01108"),
        "embedding_mse": (feature.EmbeddingMSE, "arxiv.org/abs/2004.09813"),
        "relational_kd": (relation.RelationalKD, "arxiv.org/abs/1904.05068"),
        "similarity_preserving": (relation.SimilarityPreserving, "arxiv.org/abs/1907.09682"),
        "pkt": (relation.PKT, "arxiv.org/abs/1803.10837"),
        "linear_cka": (relation.LinearCKA, "arxiv.org/abs/1905.00414"),
        "in_batch_contrast": (relation.InBatchContrast, "arxiv.org/abs/1910.10699"),
        "head_relations": (relation.HeadRelations, "arxiv.org/abs/2012.15828"),
        "dpo": (preference.DPO, "arxiv.org/abs/2305.18290"),
        "simpo": (preference.SimPO, "arxiv.org/abs/2405.14734"),
        "step_by_step": (rationale.StepByStep, "arxiv.org/abs/2305.02301"),
    }
)
