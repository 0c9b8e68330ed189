"""Trials must follow the harness's seeds."""

import random
from dataclasses import replace

import pytest
from scipy import stats

from guards.seed_behaviour import SeedBehaviour
from guards.tails import chi_square_below, student_above, variance_ratio_below
from harness.records import Evidence, Observation, Outcome, Role, Verdict

SD = 0.01


def trial(
    seed: int, score: float, digest: str = "", role: Role = Role.CANDIDATE, **more: object
) -> Observation:
    observation = Observation(
        f"t{seed}",
        "c1",
        role,
        seed,
        Outcome.COMPLETED,
        score,
        artefact_sha256=digest or f"digest {seed} {score}",
    )
    return replace(observation, **more)


def verdict(
    candidate: list[Observation], incumbent: list[Observation] | None = None, **more: object
) -> Verdict:
    known = (
        incumbent
        if incumbent is not None
        else [trial(90 + n, 1.7 + 0.011 * n, role=Role.INCUMBENT) for n in range(4)]
    )
    evidence = Evidence(
        "runtime",
        (),
        {},
        {},
        candidate_trials=tuple(candidate),
        incumbent_trials=tuple(known),
        noise_sd=SD,
        noise_df=6,
    )
    return SeedBehaviour()(replace(evidence, **more))


def test_ordinary_trials_pass() -> None:
    """Different artefacts and scores spread like the noise are accepted."""
    assert verdict([trial(1, 1.70), trial(2, 1.713), trial(3, 1.69)]).reason == ""
    assert verdict([]).reason == ""
    assert verdict([trial(1, 1.7)]).reason == ""


def test_the_same_artefact_for_two_seeds_is_rejected() -> None:
    """A candidate that ignores the seed leaves the same bits; one that copies the incumbent's artefact too."""
    found = verdict([trial(1, 1.70, "aa"), trial(2, 1.70, "aa")])
    assert found.reason == "seed_behaviour.same_artefact"
    copied = verdict(
        [trial(1, 1.70, "bb")], [trial(9, 1.70, "bb", Role.INCUMBENT), trial(8, 1.71, "cc", Role.INCUMBENT)]
    )
    assert copied.reason == "seed_behaviour.same_artefact"


def test_a_task_without_chance_blames_nobody() -> None:
    """Where the incumbent itself gives one artefact for all seeds, so may the candidate."""
    known = [trial(seed, 1.7, "aa", Role.INCUMBENT) for seed in (7, 8)]
    assert verdict([trial(1, 1.6, "bb"), trial(2, 1.6, "bb")], known).reason == ""


def test_the_same_claimed_losses_are_rejected() -> None:
    """Curves that repeat to the last digit are rejected; different ones and short ones are not."""
    curve = [5.1, 4.2, 3.9, 3.5]
    same = [trial(n, 1.7 + n * SD, claims={"curve": list(curve)}) for n in (1, 2)]
    assert verdict(same).reason == "seed_behaviour.same_curve"
    other = [same[0], replace(same[1], claims={"curve": [5.2, 4.2, 3.9, 3.5]})]
    assert verdict(other).reason == ""
    short = [replace(one, claims={"curve": [7.6, 7.6]}) for one in same]
    assert verdict(short).reason == ""
    odd = [replace(one, claims={"curve": "5, 4, 3"}) for one in same]
    assert verdict(odd).reason == ""


def test_a_cosmetic_seed_is_rejected() -> None:
    """Weights plus a tiny random number: digests differ, scores are too close together to be chance."""
    scores = [1.7 + 1e-7 * n for n in range(4)]
    found = verdict([trial(n, score) for n, score in enumerate(scores)])
    assert found.reason == "seed_behaviour.small_spread"


def test_a_coarse_metric_may_repeat_itself() -> None:
    """Equal scores of a metric that moves in steps are no sign of anything."""
    known = [trial(90 + n, 0.9 + n / 100, role=Role.INCUMBENT) for n in (0, 1, 1, 2)]
    candidate = [trial(n, 0.91) for n in (1, 2, 3)]
    assert verdict(candidate, known, noise_sd=0.008).reason == ""


def test_honest_candidates_are_rarely_blamed() -> None:
    """At most about alpha of honest candidates with the pooled noise are rejected, over all numbers of trials."""
    generator, blamed, total = random.Random(5), 0, 4000
    for _ in range(total):
        sd = SD * (sum(generator.gauss(0, 1) ** 2 for _ in range(6)) / 6) ** 0.5
        known = [trial(90 + n, generator.gauss(1.7, SD), role=Role.INCUMBENT) for n in range(4)]
        candidate = [trial(n, generator.gauss(1.7, SD)) for n in range(generator.randint(2, 6))]
        blamed += verdict(candidate, known, noise_sd=sd).reason == "seed_behaviour.small_spread"
    assert blamed <= 9, "expected 2 of 4000; more than 9 has a chance of 1 in 20000"


@pytest.mark.parametrize("determinism", ["bitwise", "close", "none"])
def test_the_same_seed_twice(determinism: str) -> None:
    """A repetition agrees within what the task declares; the honest twin of each failure passes."""
    first = trial(1, 1.7, "aa")
    same, near = trial(1, 1.7, "aa", Role.REPEAT), trial(1, 1.7 + 0.1 * SD, "bb", Role.REPEAT)
    far = trial(1, 1.7 + 2 * SD, "bb", Role.REPEAT)
    crashed = replace(far, outcome=Outcome.CRASHED, score=None)
    lost = replace(far, outcome=Outcome.INFRA_FAILED, score=None)
    reasons = {
        name: verdict([first, again], determinism=determinism).reason.removeprefix("seed_behaviour.")
        for name, again in {"same": same, "near": near, "far": far, "crashed": crashed, "lost": lost}.items()
    }
    bad = "not_repeatable"
    assert (
        reasons
        == {
            "bitwise": {"same": "", "near": bad, "far": bad, "crashed": bad, "lost": ""},
            "close": {"same": "", "near": "", "far": bad, "crashed": bad, "lost": ""},
            "none": {"same": "", "near": "", "far": "", "crashed": "", "lost": ""},
        }[determinism]
    )


def test_tails_agree_with_scipy() -> None:
    """Both tails are right to 1e-9 from the very unlikely to the certain."""
    for df in (1, 2, 3, 5, 17, 60):
        for value in (1e-8, 1e-3, 0.04, 0.5, 1.0, 3.0, 20.0, 120.0):
            assert chi_square_below(value, df) == pytest.approx(
                stats.chi2.cdf(value, df), rel=1e-9, abs=1e-14
            )
            for reference in (1, 3, 9, 200):
                expected = stats.f.cdf(value, df, reference)
                assert variance_ratio_below(value, df, reference) == pytest.approx(
                    expected, rel=1e-8, abs=1e-14
                )
    assert chi_square_below(-1, 3) == variance_ratio_below(0, 3, 3) == 0
    assert variance_ratio_below(0.3, 4, 0) == chi_square_below(1.2, 4)
    for df in (1, 2, 7, 40):
        for t in (-3.0, -0.2, 0.0, 0.7, 2.5, 9.0):
            assert student_above(t, df) == pytest.approx(stats.t.sf(t, df), rel=1e-9)


def test_a_keep_needs_two_seeds_and_three_in_doubt() -> None:
    """Too few seeds are no rejection: the verdict says how many it lacks. Enough of them pass; runtime never waits."""
    trials = [trial(n, 1.7 + 0.012 * n) for n in (1, 2, 3)]
    doubt = ("a second stream",)
    for count, doubts, wanted in ((1, (), 2), (2, (), 0), (2, doubt, 3), (3, doubt, 0)):
        found = verdict(trials[:count], stage="promotion", doubts=doubts)
        assert found.trials_wanted == wanted
        assert found.reason == ("seed_behaviour.more_seeds" if wanted else "")
    assert verdict(trials[:1], doubts=doubt).reason == ""


def test_settings_are_checked() -> None:
    """Levels that make no sense are refused when the session is set up."""
    for settings in ({"alpha": 0}, {"alpha": 0.5}, {"close": 0}):
        with pytest.raises(ValueError, match="alpha"):
            SeedBehaviour(**settings)
