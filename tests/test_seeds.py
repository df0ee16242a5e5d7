from medical_team.seeds import derive_seed, derived_random


def test_a_path_always_gives_the_same_seed() -> None:
    assert derive_seed(42, "draw", 3) == derive_seed(42, "draw", 3)
    assert derived_random(42, "draw").random() == derived_random(42, "draw").random()


def test_other_paths_and_other_seeds_give_other_seeds() -> None:
    seeds = {
        derive_seed(42),
        derive_seed(43),
        derive_seed(42, "draw"),
        derive_seed(42, "draw", 0),
        derive_seed(42, "0"),
    }
    assert len(seeds) == 5


def test_seeds_fit_every_generator() -> None:
    assert all(0 <= derive_seed(0, index) < 2**63 for index in range(1000))
