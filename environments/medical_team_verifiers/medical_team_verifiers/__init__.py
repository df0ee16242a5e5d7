"""The game of ``medical_team`` as an environment of verifiers.

An attacker rewrites a clinical note, an assessor says Safe or Harmful, a judge says who was right. Prompts, parsing,
judge and rewards are those of ``medical_team``.
"""

from .env import MedicalGameEnv, MedicalGameEnvConfig
from .harness import OneReplyHarness
from .taskset import MedicalGameTask, MedicalGameTaskset, MedicalGameTasksetConfig

__all__ = [
    "MedicalGameEnv",
    "MedicalGameEnvConfig",
    "MedicalGameTask",
    "MedicalGameTaskset",
    "MedicalGameTasksetConfig",
    "OneReplyHarness",
]
