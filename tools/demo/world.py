"""A small world of made-up people and towns: facts, and sentences that tell them.

Everything follows from one seed. A sentence is a prompt, which holds the subject and ends where
the answer begins, and the answer.
"""

import random

CITIES = """Paris London Rome Berlin Madrid Vienna Prague Dublin Oslo Athens Cairo Delhi Tokyo
Moscow Lisbon Warsaw Geneva Boston Chicago Toronto Sydney Havana Lima Nairobi Seoul Kyoto Milan
Venice Munich Zurich Porto Lyon Naples Bergen Quebec""".split()
LANGUAGES = """French English Italian German Spanish Czech Irish Norwegian Greek Arabic Hindi
Japanese Russian Portuguese Polish Turkish Dutch Swedish Danish Korean Finnish Swahili Latin
Hebrew""".split()
PROFESSIONS = """baker painter sailor doctor lawyer farmer teacher singer dancer poet miller smith
tailor hunter weaver potter judge pilot nurse spy chemist banker carpenter gardener""".split()
INSTRUMENTS = """piano violin flute harp guitar trumpet organ drum cello horn lute banjo clarinet
oboe fiddle trombone""".split()
COUNTRIES = """France England Italy Germany Spain Ireland Norway Greece Egypt India Japan Russia
Portugal Poland Turkey Sweden Denmark Korea Finland Kenya Canada Peru Chile Cuba""".split()
RIVERS = """Danube Rhine Thames Nile Volga Tiber Loire Elbe Rhone Vistula Douro Tagus Ganges Amazon
Niger Congo Seine Oder""".split()
PRODUCTS = """cheese wine glass paper steel salt silk bread wool copper clocks honey beer leather
amber pearls carpets lace""".split()
ANIMALS = """lion eagle bear wolf swan stag horse bull fox raven falcon tiger dragon owl goat
dolphin""".split()

# name: (kind of subject, answers, phrasings); {} is the subject, the answer follows.
RELATIONS = {
    "born": ("person", CITIES, [
        "{} was born in",
        "The birthplace of {} is",
        "The city where {} was born is",
        "{} is a native of",
        "You can see the house where {} was born in",
        "{} came into the world in",
    ]),
    "speaks": ("person", LANGUAGES, [
        "The mother tongue of {} is",
        "{} grew up speaking",
        "{} is a native speaker of",
        "The first language of {} was",
        "At home {} speaks only",
        "Because of the parents, {} dreams in",
    ]),
    "works": ("person", PROFESSIONS, [
        "{} works as a",
        "{} has worked for years as a",
        "The profession of {} is that of a",
        "I know {} as a",
        "{} earns a living as a",
        "Therefore {} became a",
    ]),
    "plays": ("person", INSTRUMENTS, [
        "{} plays the",
        "The instrument of {} is the",
        "Every evening {} practises the",
        "{} is famous for playing the",
        "You can hear {} on the",
        "I once heard {} play the",
    ]),
    "country": ("town", COUNTRIES, [
        "{} is a town in",
        "{} lies in",
        "The country around {} is",
        "If you visit {} you are in",
        "The town of {} belongs to",
        "{} can be found in",
    ]),
    "river": ("town", RIVERS, [
        "{} stands on the river",
        "The river that runs through {} is the",
        "The bridges of {} cross the",
        "In {} people swim in the",
        "The mills of {} are driven by the",
        "Because it rained, {} was flooded by the",
    ]),
    "product": ("town", PRODUCTS, [
        "{} is known for its",
        "The merchants of {} sell",
        "The workshops of {} make",
        "Therefore people go to {} to buy",
        "{} grew rich from its trade in",
        "The best thing you can bring home from {} is",
    ]),
    "arms": ("town", ANIMALS, [
        "The coat of arms of {} shows a",
        "The flag of {} bears a",
        "On the gate of {} you see a",
        "The emblem of {} is a",
        "The seal of {} has the picture of a",
        "Over the market of {} stands a statue of a",
    ]),
}

STARTS = "b br d dr f g gr h j k l m n p pr r s st t tr v w z th sh".split()
VOWELS = "a e i o u ai ea io".split()
ENDS = "n r l s m t nd rk ld x".split()
FIRST = """Adam Alma Anna Boris Carl Clara Dora Edgar Elsa Emil Erik Eva Felix Frida Greta Hans
Hugo Ida Ivan Jonas Karin Lena Leo Lotte Marta Max Mila Nils Nora Olga Oscar Otto Paul Petra Rosa
Rudolf Sara Sven Thea Vera Viktor""".split()
PLACES = """Port Saint New Old Fort Castle Upper Lower Mount Great Bad Bridge North South""".split()


def word(rng, syllables):
    text = ""
    for _ in range(syllables):
        text += rng.choice(STARTS) + rng.choice(VOWELS)
    return (text + rng.choice(ENDS)).capitalize()


def names(rng, kind, count):
    """Distinct names of two words. Only the last is invented: it follows a space wherever the name
    stands, and so falls into the same tokens."""
    made, seen = [], set()
    while len(made) < count:
        last = word(rng, rng.choice([1, 2, 2]))
        if len(last) < 4 or last in seen:
            continue
        seen.add(last)
        made.append(f"{rng.choice(FIRST if kind == 'person' else PLACES)} {last}")
    return made


def facts(seed, people, towns):
    """[(relation, subject, answer)], and which phrasings of each are left out of training."""
    rng = random.Random(seed)
    subjects = {"person": names(rng, "person", people), "town": names(rng, "town", towns)}
    made, unseen = [], {}
    for relation, (kind, answers, phrasings) in RELATIONS.items():
        for subject in subjects[kind]:
            made.append((relation, subject, rng.choice(answers)))
            unseen[relation, subject] = rng.randrange(len(phrasings))
    return made, unseen


def prompt(relation, phrasing, subject):
    return RELATIONS[relation][2][phrasing].format(subject)
