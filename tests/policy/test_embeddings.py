import itertools
from pathlib import Path
from typing import Any, cast

import pytest

from builders import present
from medical_team.errors import PolicyError
from medical_team.policy.embeddings import TextEmbedder
from medical_team.policy.shipped_models import make_tiny_model

TEXTS = ["A man has a cough.", "A woman has a fever and is given 500 mg of something.", "X", *map(str, range(20))]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> TextEmbedder:
    folder = tmp_path_factory.mktemp("embedder")
    for part in make_tiny_model():
        cast("Any", part).save_pretrained(folder)
    return TextEmbedder(str(folder), device="cpu")


def test_it_is_the_mean_cosine_of_every_two_texts(embedder: TextEmbedder) -> None:
    cosines = [present(embedder.mean_similarity(two)) for two in itertools.combinations(TEXTS, 2)]

    assert embedder.mean_similarity(TEXTS) == pytest.approx(sum(cosines) / len(cosines), abs=1e-5)


def test_copies_are_as_alike_as_can_be_and_other_texts_are_not(embedder: TextEmbedder) -> None:
    assert embedder.mean_similarity(TEXTS[:1] * 3) == pytest.approx(1.0)
    assert present(embedder.mean_similarity(TEXTS)) < 0.999


def test_one_text_alone_is_like_nothing(embedder: TextEmbedder) -> None:
    assert embedder.mean_similarity(TEXTS[:1]) is None


def test_a_folder_without_a_model_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        TextEmbedder(str(tmp_path))
