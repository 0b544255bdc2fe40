"""What the student is asked to match."""

from stillhouse.objectives.compare import compare
from stillhouse.objectives.cross_tokenizer import ChunkLikelihood, SharedVocabularyKL, UniversalLogit
from stillhouse.objectives.feature import (
    AttentionKL,
    AttentionMSE,
    AttentionTransfer,
    EmbeddingCosine,
    EmbeddingMSE,
    HiddenCosine,
    HiddenStates,
)
from stillhouse.objectives.preference import DPO, SimPO
from stillhouse.objectives.rationale import StepByStep
from stillhouse.objectives.relation import (
    PKT,
    HeadRelations,
    InBatchContrast,
    LinearCKA,
    RelationalKD,
    SimilarityPreserving,
)
from stillhouse.objectives.response import (
    DIST,
    CrossEntropy,
    DecoupledKD,
    ForwardKL,
    JensenShannon,
    LogitMSE,
    ReverseKL,
    SkewedForwardKL,
    SkewedReverseKL,
    StandardisedKL,
    TotalVariation,
)

__all__ = [
    "DIST",
    "DPO",
    "PKT",
    "AttentionKL",
    "AttentionMSE",
    "AttentionTransfer",
    "ChunkLikelihood",
    "CrossEntropy",
    "DecoupledKD",
    "EmbeddingCosine",
    "EmbeddingMSE",
    "ForwardKL",
    "HeadRelations",
    "HiddenCosine",
    "HiddenStates",
    "InBatchContrast",
    "JensenShannon",
    "LinearCKA",
    "LogitMSE",
    "RelationalKD",
    "ReverseKL",
    "SharedVocabularyKL",
    "SimPO",
    "SimilarityPreserving",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "StandardisedKL",
    "StepByStep",
    "TotalVariation",
    "UniversalLogit",
    "compare",
]
