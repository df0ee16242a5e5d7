"""The closed list of exchangeable wordings: which words may stand for which, whatever the clause, and the plain
words of a clause: one phrase for each meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from .lexicon import (
    ARTICLES,
    FORMS_OF_BE,
    GOVERNING,
    LABELLED_BY_LETTER,
    NAMED_BY_LETTER,
    OPENING_WORDS,
    is_number_in_any_form,
    spelled_numbers,
)

Words = tuple[str, ...]

_PERSONS = "he she patient they who man woman boy girl mother father parents wife husband"

_BEFORE_TIMES = "before a number or hour day week month year few several couple"
_FEVERS = (
    "dengue enteric glandular hay hemorrhagic lassa mediterranean mountain paratyphoid q relapsing rheumatic scarlet "
    "spotted tick typhoid valley yellow"
)

_LOOKS = """
mm Hg | mmHg
per min | per minute
beats per min | beats per minute | bpm
breaths per min | breaths per minute
C | degrees C | degrees Celsius | Celsius (after a number)
F | degrees F | degrees Fahrenheit | Fahrenheit (after a number)
% | percent | per cent
mcg | μg | ug | micrograms
mg | milligrams (after a number)
kg | kilograms (after a number)
mL | milliliters | millilitres (after a number)
years | yrs
weeks | wks
hours | hrs
minutes | mins
and | &
year old | years old | years of age | yo
does not | doesn't
did not | didn't
do not | don't
is not | isn't
are not | aren't
was not | wasn't
were not | weren't
has not | hasn't
have not | haven't
had not | hadn't
could not | couldn't
would not | wouldn't
cannot | can not | can't
follow-up | followup
check-up | checkup
nontender | non-tender
nondistended | non-distended
noncontributory | non-contributory
anemia | anaemia
edema | oedema
diarrhea | diarrhoea
hemorrhage | haemorrhage
esophagus | oesophagus
esophageal | oesophageal
tumor | tumour
fetus | foetus
fetal | foetal
leukemia | leukaemia
cesarean | caesarean | caesarian
pediatric | paediatric
gynecologic | gynaecologic
orthopedic | orthopaedic
ischemia | ischaemia
ischemic | ischaemic
color | colour
rhinorrhea | rhinorrhoea | runny nose
"""
"""Units, contractions and spelling: the same words."""

_TERMS = f"""
blood pressure | BP (before a number or is was of in)
temperature | temp
respirations | respiratory rate
pulse is | pulse rate is (before a number)
oxygen saturation | O2 saturation
vital signs | vitals
hypertension | high blood pressure | HTN (not after portal pulmonary intracranial ocular venous arterial gestational)
hypotension | low blood pressure (not after intracranial orthostatic)
shortness of breath | dyspnea | dyspnoea | breathlessness
x-ray | xray | radiograph
x-rays | xrays | radiographs
chest x-ray | x-ray of the chest | CXR | chest xray | chest radiograph
electrocardiogram | ECG | EKG
electroencephalogram | EEG
echocardiogram | echocardiography
ultrasound | ultrasonography | sonography | ultrasound scan
CT | CT scan | CAT scan | computed tomography | computed tomography scan
MRI | MRI scan | magnetic resonance imaging
lumbar puncture | spinal tap
urinary tract infection | UTI
intravenous fluids | IV fluids
intravenous antibiotics | IV antibiotics
intravenous line | IV line
leukocyte count | white blood cell count | WBC count
hemoglobin | haemoglobin | Hgb
hematocrit | haematocrit | Hct
body mass index | BMI
complete blood count | CBC
blood urea nitrogen | BUN
erythrocyte sedimentation rate | ESR
C-reactive protein | CRP
arterial blood gas | ABG
intensive care unit | ICU
human immunodeficiency virus | HIV
chronic obstructive pulmonary disease | COPD
congestive heart failure | CHF
gastroesophageal reflux disease | GERD | gastro-oesophageal reflux disease
deep vein thrombosis | deep venous thrombosis | DVT
chronic kidney disease | CKD
atrial fibrillation | AFib
type 2 diabetes mellitus | type 2 diabetes
type 1 diabetes mellitus | type 1 diabetes
myocardial infarction | heart attack
fever | pyrexia (not after {_FEVERS})
itching | pruritus
sweating | diaphoresis
epistaxis | nosebleed
syncope | fainting
dysphagia | difficulty swallowing | trouble swallowing
difficulty | trouble (before breathing sleeping walking concentrating urinating hearing seeing speaking)
dysuria | painful urination
vomiting | emesis
jaundice | icterus
tachycardia | rapid heart rate | fast heart rate (not after supraventricular ventricular atrial reentrant nodal)
motor vehicle collision | motor vehicle accident | motor vehicle crash
"""
"""Terms and their abbreviations: the same thing."""

_VERBS = f"""
comes to | came to | presents to | presented to
comes for | came for | presents for | presented for
presents with | presented with
is brought to | was brought to
shows | showed | reveals | revealed | demonstrates | demonstrated
show | reveal | demonstrate
showing | revealing | demonstrating
reports that | states that | says that (not after united mental)
reported that | stated that | said that
reports | states | says (after {_PERSONS})
reported | stated | said (after {_PERSONS})
notices | notes (after {_PERSONS})
noticed | noted (after {_PERSONS})
denies | denied
appears | appeared
appears | looks (after he she patient)
takes | is taking (after he she patient)
is given | receives (after he she patient)
was given | received (after he she patient)
is performed | is done | is carried out (not after he she patient)
was performed | was done | was carried out (not after he she patient)
were performed | were done | were carried out (not after they)
is started on | is begun on
was started on | was begun on
began | started (not after is are was were be been being has have had get gets got)
begins | starts
is noted to have | is found to have
was noted to have | was found to have
is admitted to the hospital | is admitted to hospital | is hospitalized | is hospitalised
was admitted to the hospital | was admitted to hospital | was hospitalized | was hospitalised
lives with | resides with
works as | is employed as
died of | died from
returned from | came back from
is | is also
are | are also
has | has also (not after also)
have | have also (not after also)
had | had also (not after also has have)
"""
"""What is said of a patient and done with one: only who speaks and what is done matter."""

_OTHERS = f"""
emergency department | emergency room
physician | doctor
man | male | gentleman
woman | female | lady
mother | mom
father | dad
newborn | neonate
because of | due to | owing to | secondary to
and | as well as (outside negations)
although | though | even though
before | prior to
on | upon (before examination exam physical further arrival admission presentation questioning evaluation inspection)
approximately | about | roughly | around (before a number)
at age | at the age of (before a number)
for the past | for the last | over the past | over the last | during the past | during the last ({_BEFORE_TIMES})
daily | per day | a day (after times cigarettes beers drinks glasses cups)
daily | per day (after mg mcg g units)
twice daily | twice a day
once daily | once a day
often | frequently
occasionally | on occasion
initially | at first
currently | at present
several | a number of
a_few | a few
a_little | a little
notable for | remarkable for | significant for
within normal limits | within the normal range | within the reference range | in the normal range
is within normal limits | is normal | is within the normal range
are within normal limits | are normal | are within the normal range | are within the reference range
examination | exam
examinations | exams
evaluation | assessment
therapy with | treatment with
laboratory | lab
laboratory studies | laboratory tests | lab studies | lab tests
medications | medicines | meds
current medications | current medicines | current meds
past medical history | medical history (not after family)
weeks' gestation | weeks of gestation
"""
"""Common words of the same meaning."""

_GOVERNED = "outside negations"
_NUMBER = "a number"


@dataclass(frozen=True)
class Condition:
    """What must, or must not, stand beside a wording in its clause: one of the words, or a number. Nothing is asked of
    an empty one."""

    after: frozenset[str] = frozenset()
    not_after: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    is_after_number: bool = False
    is_before_number: bool = False
    is_outside_negations: bool = False

    @classmethod
    def read(cls, text: str) -> Condition:
        """The condition that the list has in brackets."""
        if text == _GOVERNED:
            return cls(is_outside_negations=True)
        side, _, rest = text.removeprefix("not ").partition(" ")
        is_number = rest.startswith(_NUMBER)
        words = frozenset(rest.removeprefix(_NUMBER).removeprefix(" or ").split())
        if text.startswith("not "):
            return cls(not_after=words)
        if side == "after":
            return cls(after=words, is_after_number=is_number)
        return cls(before=words, is_before_number=is_number)

    def holds(self, before: str, after: str, is_negated: bool) -> bool:
        """Whether it holds between the words ``before`` and ``after``, either of which is "" at the clause's end.

        ``is_negated`` says whether a negation or a condition stands before in the clause.
        """
        return (
            before not in self.not_after
            and _is_one_of(before, self.after, self.is_after_number)
            and _is_one_of(after, self.before, self.is_before_number)
            and not (self.is_outside_negations and is_negated)
        )


def _is_one_of(word: str, words: frozenset[str], is_number: bool) -> bool:
    return not (words or is_number) or word in words or (is_number and word != "" and is_number_in_any_form(word))


NO_CONDITION = Condition()
"""Holds everywhere."""


@dataclass(frozen=True)
class Exchange:
    """Wordings of one meaning under one condition, as they are written; the first stands for all."""

    wordings: tuple[str, ...]
    condition: Condition = NO_CONDITION

    @property
    def meaning(self) -> Words:
        """The plain words of them all."""
        return tuple(word for word in wording_words(self.wordings[0]) if word not in ARTICLES)


def wording_words(wording: str) -> Words:
    """The words of one wording, as a note's are read: without case, apostrophes and hyphens."""
    return tuple(wording.casefold().replace("'", "").replace("-", " ").split())


@cache
def exchanges() -> tuple[Exchange, ...]:
    """All that may be exchanged, numbers in letters aside."""
    return tuple(map(_read, f"{_LOOKS}{_TERMS}{_VERBS}{_OTHERS}".strip().replace("\n\n", "\n").splitlines()))


@cache
def spelled_exchanges() -> tuple[Exchange, ...]:
    """The numbers in digits and in letters."""
    return tuple(Exchange((digits, spelled)) for spelled, digits in spelled_numbers().items())


def _read(line: str) -> Exchange:
    wordings, _, condition = line.rstrip(")").partition(" (")
    read = Condition.read(condition) if condition else NO_CONDITION
    return Exchange(tuple(wording.strip() for wording in wordings.split("|")), read)


def plain_words(words: Sequence[str]) -> Words:
    """``words`` of one clause with articles and opening words left out, and one phrase for each meaning."""
    table = _phrases()
    plain: list[str] = []
    position, length = 0, len(words)
    while position < length and words[position] in OPENING_WORDS:
        position += 1
    governed_from = next((place for place, word in enumerate(words) if word in GOVERNING), length)
    while position < length:
        word = words[position]
        for phrase in table.get(word, ()):
            if phrase.stands_at(words, position, position > governed_from):
                plain.extend(phrase.meaning)
                position += len(phrase.words)
                break
        else:
            position += 1
            if word in ARTICLES and not _is_label(words, position - 1):
                continue
            is_before_number = word in FORMS_OF_BE and position < length and is_number_in_any_form(words[position])
            plain.append("is" if is_before_number else word)
    return tuple(plain)


def _is_label(words: Sequence[str], position: int) -> bool:
    if words[position] != "a":
        return False
    is_last = position + 1 == len(words)
    is_labelling = position > 0 and words[position - 1] in LABELLED_BY_LETTER
    return is_last or is_labelling or words[position + 1] in NAMED_BY_LETTER


@dataclass(frozen=True)
class _Phrase:
    """Words that may be read as other words, under a condition on what stands beside them."""

    words: Words
    meaning: Words
    condition: Condition

    def stands_at(self, words: Sequence[str], position: int, is_negated: bool) -> bool:
        end = position + len(self.words)
        if len(self.words) > 1 and tuple(words[position:end]) != self.words:
            return False
        before = words[position - 1] if position else ""
        return self.condition.holds(before, words[end] if end < len(words) else "", is_negated)


@cache
def _phrases() -> dict[str, tuple[_Phrase, ...]]:
    phrases = [
        _Phrase(wording_words(wording), exchange.meaning, exchange.condition)
        for exchange in (*exchanges(), *spelled_exchanges())
        for number, wording in enumerate(exchange.wordings)
        # the first stands for itself, but must be found before a shorter one within it
        if number or " " in wording
    ]
    by_first: dict[str, list[_Phrase]] = {}
    for phrase in sorted(phrases, key=lambda phrase: -len(phrase.words)):
        by_first.setdefault(phrase.words[0], []).append(phrase)
    return {word: tuple(phrases) for word, phrases in by_first.items()}
