import threading
from pathlib import Path
from typing import Any, NoReturn

from doctor_cases import a_subject
from medical_team.doctor.examination import examine
from medical_team.doctor.findings import Check, Group, Status, failed, ok, skipped
from medical_team.doctor.subject import Subject
from medical_team.errors import UsageError

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"


def examined(*checks: Check, **environment: Any):
    return list(examine([Group("Test", checks)], a_subject(**environment)))


def crash(subject: Subject):
    raise ZeroDivisionError("division by zero")


def hang(subject: Subject) -> NoReturn:
    while True:
        threading.Event().wait()


def user_error(subject: Subject):
    raise UsageError("data.train names no file")


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on() -> None:
    broken, fine = examined(Check("broken", crash), Check("fine", lambda subject: ok("well")))

    assert broken.status is Status.FAILED
    assert broken.found == "the check itself broke: ZeroDivisionError: division by zero"
    assert (fine.status, fine.found) == (Status.OK, "well")


def test_a_check_that_hangs_is_a_finding_and_the_others_go_on() -> None:
    hanging, fine = examined(Check("hanging", hang, seconds=0.05), Check("fine", lambda subject: ok("well")))

    assert hanging.status is Status.FAILED
    assert hanging.found == "no result within 0.05 seconds"
    assert hanging.seconds >= 0.05
    assert fine.status is Status.OK


def test_an_error_that_a_user_can_mend_is_told_in_its_own_words() -> None:
    (finding,) = examined(Check("data", user_error))
    assert (finding.status, finding.found) == (Status.FAILED, "data.train names no file")


def test_what_depends_on_a_failed_check_is_skipped_with_the_reason() -> None:
    first, second, third = examined(
        Check("first", lambda subject: failed("no", "do")),
        Check("second", crash, after="first"),
        Check("third", crash, after="second"),
    )

    assert first.status is Status.FAILED
    assert (second.status, second.found) == (Status.SKIPPED, "can't be checked: the check 'first' failed")
    assert (third.status, third.found) == (Status.SKIPPED, "can't be checked: the check 'second' was skipped")


def test_no_secret_of_the_environment_is_ever_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_FromTheFile0123456789\n")
    told = f"{TOKEN} and s3cret-of-the-judge and hf_FromTheFile0123456789 at http://me:pass@host/ and hf_Unknown12345"

    (finding,) = examined(
        Check("leak", lambda subject: failed(told, told)),
        HF_HOME=str(tmp_path),
        SOME_TOKEN=TOKEN,
        MEDICAL_TEAM_JUDGE_TOKEN="s3cret-of-the-judge",
    )

    expected = "(hidden) and (hidden) and (hidden) at http://(hidden)@host/ and (hidden)"
    assert (finding.found, finding.mend) == (expected, expected)


def test_short_values_are_no_secrets() -> None:
    (finding,) = examined(Check("a", lambda subject: skipped("true words")), A_TOKEN="true")
    assert finding.found == "true words"
