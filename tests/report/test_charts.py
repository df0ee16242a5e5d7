from medical_team.report.charts import CHARTS, MAX_POINTS, chart_data


def chart(metrics, title):
    return next(chart for chart in chart_data(metrics) if chart["title"] == title)


def test_a_curve_holds_the_steps_that_have_its_metric():
    metrics = {0: {"policy/kl": 0.0123456789}, 1: {}, 2: {"policy/kl": 2.0}}

    [curve] = chart(metrics, "KL from the reference policy")["curves"]

    assert curve == {"label": "KL", "steps": [0, 2], "values": [0.012346, 2.0]}


def test_a_star_stands_for_whatever_there_is():
    metrics = {0: {"judge_source/reference": 0.5, "judge_source/vote": 0.5, "seconds/total": 3.0, "seconds/play": 1.0}}

    assert [curve["label"] for curve in chart(metrics, "Judge: who ruled")["curves"]] == ["reference", "vote"]
    assert [curve["label"] for curve in chart(metrics, "Seconds by phase")["curves"]] == ["play"]


def test_games_in_the_place_of_others_are_drawn_by_category():
    metrics = {0: {"replacements/vanilla_benign": 1.0}, 1: {"replacements/vanilla_benign": 3.0}}

    [curve] = chart(metrics, "Games in place of others, by category")["curves"]

    assert curve == {"label": "vanilla benign", "steps": [0, 1], "values": [1.0, 3.0]}


def test_a_chart_without_points_is_empty():
    assert len(chart_data({})) == len(CHARTS)
    assert all(not chart["curves"] for chart in chart_data({}))


def test_a_long_curve_is_thinned_out_and_keeps_its_end():
    steps = 2 * MAX_POINTS + 1
    [curve] = chart({step: {"policy/kl": 1.0} for step in range(steps)}, "KL from the reference policy")["curves"]

    assert len(curve["steps"]) <= MAX_POINTS
    assert curve["steps"][-1] == steps - 1
