from medical_team.metrics.alarm_history import MAX_LOOKS, alarm_spans

FAR, NEAR = {"policy/kl": 5.0}, {"policy/kl": 0.0}


def test_an_alarm_is_up_from_its_first_step_to_its_last():
    [span] = alarm_spans(dict(enumerate([NEAR] * 10 + [FAR] * 10)))

    assert (span.name, span.first_step, span.last_step, span.is_up) == ("kl", 11, 19, True)
    assert "5.00 nats" in span.sentence


def test_an_alarm_that_is_over_says_so():
    [span] = alarm_spans(dict(enumerate([FAR] * 10 + [NEAR] * 20)))

    assert (span.first_step, span.last_step, span.is_up) == (4, 12, False)


def test_a_calm_run_or_none_has_no_alarm():
    assert alarm_spans({}) == []
    assert alarm_spans({0: NEAR}) == []


def test_the_last_step_of_a_long_run_is_always_looked_at():
    steps = 3 * MAX_LOOKS + 1
    [span] = alarm_spans(dict(enumerate([NEAR] * (steps - 5) + [FAR] * 5)))

    assert span.last_step == steps - 1
    assert span.is_up
