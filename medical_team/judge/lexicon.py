"""Words whose medical meaning is known well enough to decide with: what is neutral, and what never is.

All lists are our own. They err on one side: a neutral list holds only what leaves the truth of any clinical
sentence as it is, and whatever is missing from it makes the reference judge abstain. Wordings that may be exchanged
for one another are in :mod:`.exchangeable`.
"""

from __future__ import annotations

from itertools import product


def _listed(text: str) -> list[str]:
    return text.split()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPENING_WORDS = _words(
    """
    additionally alarmingly also clearly concerningly furthermore importantly indeed interestingly
    moreover notably overall remarkably specifically strikingly surprisingly worryingly
    """
)
"""Words that may open a clause without changing what it says."""

LEAD_IN_WORDS = _words("a clinical following here is medical new note patient revised rewritten s summary the version")
"""A first clause of these alone, up to its colon, only announces the note: "Here is the rewritten note:"."""

ARTICLES = frozenset({"a", "an", "the"})
LABELLED_BY_LETTER = _words(
    """
    amyloid antigen apo apolipoprotein bacteroides category channel class coenzyme cyclosporine factor fig figure
    genotype grade group haemoglobin hb hemoglobin hemophilia hepatitis hgb immunoglobulin influenza lipoprotein option
    paratyphi phase protein pugh receptor score serogroup serotype stage staphylococcal strain streptococcal subtype
    toxin type vitamin
    """
)
"""After these an "a" is a label and no article: hepatitis A."""

NAMED_BY_LETTER = _words("band delta fiber fibers line lines site subunit wave waves")
"""Before these too: cannon a waves."""

FORMS_OF_BE = frozenset({"is", "are", "was", "were"})
"""Before a number the tense says nothing: the pulse was 80."""

NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        _listed("""
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen
        """)
    )
}
TENS = {
    word: str(10 * number)
    for number, word in enumerate(_listed("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}

NEGATIONS = _words(
    """
    absence absent aint arent cannot cant couldnt declined declines denied denies deny didnt doesnt dont except
    excluded excludes fails failed hadnt hardly hasnt havent incorrect incorrectly isnt lack lacks mistaken
    mistakenly negative neither never no nobody none nor not nothing nowhere refused refuses rejected retracted rule
    ruled rules shouldnt unlikely unremarkable wasnt werent without wont wouldnt wrong wrongly
    """
)

CONDITIONS = _words(
    "avoid contraindicated discontinue discontinued if may might possible should stop stopped unless whether"
)
"""What these govern ends where their clause ends, as with negations."""

GOVERNING = NEGATIONS | CONDITIONS

SIDES_AND_PLACES = _words(
    """
    anterior bilateral bilaterally contralateral distal inferior ipsilateral lateral left lower medial posterior
    proximal right superior unilateral upper
    """
)

UNITS = _words(
    """
    c f g kg mg mcg ng pg l dl ml cl mm cm m km hg meq mmol mol nmol pmol iu u unit units hour hours day days week
    weeks month months year years min minute minutes second seconds h hr bpm daily hourly weekly monthly yearly once
    twice thrice mmhg kpa cells ppm osm mosm
    """
)

OTHER_PERSONS = _words(
    """
    aunt baby boyfriend brother brothers child children cousin dad daughter daughters donor family father fetus
    friend friends girlfriend grandchild grandfather grandmother grandparents guardian husband infant mom mother
    neighbor neonate newborn parent parents partner partners paternal maternal relative relatives roommate sibling
    siblings sister sisters son sons spouse twin twins uncle wife
    """
)

LEANING_WORDS = _words(
    """
    additional admission afterwards again ago another arrival before both change changed changes consequently
    despite during earlier eventually finally first following former further hence however immediately improved
    improvement initial initially instead it its last later latter meanwhile next now other others otherwise
    overnight postoperative postoperatively previous previously prior rather remainder repeat repeated same second
    since some soon still subsequent subsequently such temporarily that then thereafter therefore these third this
    those thus today tomorrow until which while worsened yesterday
    """
)
"""A sentence with one of these leans on its place in the note."""

ACTIONS = _words(
    """
    administered admitted advised applied asked attempted begun consulted continued counseled diagnosed discharged
    discontinued educated encouraged evaluated given held inserted intubated initiated instructed monitored notified
    obtained ordered performed placed planned prescribed reassured received receives recommended referred removed
    required resumed returned returns scheduled sent started stopped suggested taken transferred transfused treated
    undergoes underwent used
    """
)
"""What is done to a patient is done in an order, which may matter."""

VERBS = _words(
    """
    appears are denies does drinks had has have is lives shows show smokes takes was were works
    """
)
"""A sentence without one of these may be a fragment, which leans on the sentence before it."""

NAMING_THEIR_SUBJECT = _words(
    """
    abdomen abdominal cardiac cardiopulmonary diagnosis examination he heart immunizations liver lungs neurologic
    patient pelvic physical pulmonary pulse rectal respirations she skin spleen temperature vital
    """
)
"""A sentence that begins with one of these, or with "his" or "her" and one, says what it speaks of. Any other may speak
of a limb, a fluid or an organ that the sentence before it named."""

PLACING = _words("at in of on over")
"""With one of these and a side a sentence says where."""

MERELY_SHOWN = _words(
    """
    ct ecg electrocardiogram image images mri of photograph photographs picture pictures ray rays results shown x is
    are below abdomen brain chest hand head knee lesion pelvis rash skin findings it
    """
)
"""A sentence of these words alone announces a picture that the note doesn't hold, and says nothing else."""


def is_number(word: str) -> bool:
    """Whether a word is a number, a range or a ratio."""
    return word[0].isdigit()


def is_number_in_any_form(word: str) -> bool:
    """Whether a word is a number in digits or in letters."""
    return is_number(word) or word in NUMBER_WORDS or word in TENS


def spelled_numbers() -> dict[str, str]:
    """The numbers from zero to ninety-nine in words, and in digits."""
    spelled = dict(NUMBER_WORDS)
    spelled.update(TENS)
    for (ten_word, ten), (unit_word, unit) in product(TENS.items(), list(NUMBER_WORDS.items())[1:10]):
        spelled[f"{ten_word} {unit_word}"] = str(int(ten) + int(unit))
    return spelled
