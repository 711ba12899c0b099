#!/usr/bin/env python3
"""Writes the quickstart's preference file: plain-English questions, each with a helpful answer and a poor one.

    python3 make_preferences.py > ../resources/dev/logratio/trainers/quickstart/preferences.jsonl

Every choice is drawn from a checksum of what it belongs to, so the output is the same for every Python 3 and does not
change elsewhere when an entry is added. Poor answers are dismissive, evasive, boastful, off the point or wrong; many of
them hold part of the good answer, so that a model has to read more than the first word.
"""
import hashlib
import json
import sys

# (what one wants to do, first step, second step)
HOW_TO = [
    ("boil an egg", "put the egg into boiling water", "take it out after eight minutes"),
    ("make a cup of tea", "pour hot water over the tea", "let it stand for three minutes"),
    ("cook rice", "use two cups of water for one cup of rice", "keep the lid on until the water is gone"),
    ("bake bread", "mix flour, water, salt and yeast", "bake it in a hot oven once it has risen"),
    ("sharpen a pencil", "hold the pencil firmly", "turn it slowly in the sharpener"),
    ("clean a window", "wipe the glass with soap and water", "dry it with a soft cloth"),
    ("water a plant", "check whether the soil feels dry", "pour water near the roots in the morning"),
    ("plant a tree", "dig a hole twice as wide as the roots", "fill it with soil and water it well"),
    ("fold a shirt", "lay the shirt flat with its face down", "fold both sides in and bring up the bottom"),
    ("iron a shirt", "set the iron to the heat on the label", "start with the collar and the sleeves"),
    ("wash a jumper", "use cold water and mild soap", "dry it flat on a towel"),
    ("sew on a button", "knot the end of the thread", "pass the needle through each hole four times"),
    ("change a light bulb", "switch off the power and let the bulb cool", "turn the new bulb until it sits firmly"),
    ("fix a flat tyre", "take the wheel off and find the hole", "patch the tube and pump it up again"),
    ("paint a wall", "cover the floor and clean the wall", "put on two thin coats of paint"),
    ("hang a picture", "mark the height with a pencil", "drive the nail in at a small angle"),
    ("light a campfire", "build a small pile of dry twigs", "light it from the side away from the wind"),
    ("pack a suitcase", "put heavy things at the bottom", "roll your clothes to save space"),
    ("learn a poem", "read one verse aloud each day", "repeat the old verses before you start a new one"),
    ("learn a new language", "practise for twenty minutes each day", "speak with people as soon as you can"),
    ("write a letter", "begin with the date and a greeting", "say the main point in the first lines"),
    ("save money", "write down what you spend", "put a small sum aside every month"),
    ("sleep better", "go to bed at the same time each night", "leave your phone in another room"),
    ("train for a race", "run slowly three times a week", "add a little distance every week"),
    ("feed a cat", "give it small meals twice a day", "keep fresh water beside the bowl"),
    ("walk a dog", "use a lead near the road", "let the dog stop and smell things"),
    ("choose a book", "read the first page", "ask a friend who shares your taste"),
    ("borrow a book", "show your card at the library", "bring the book back within three weeks"),
    ("find a station", "look at the map near the entrance", "follow the signs with a train on them"),
    ("make a salad", "wash and cut the vegetables", "add oil and lemon just before you eat"),
    ("peel an onion", "cut off both ends", "pull the skin away under cold water"),
    ("send a parcel", "wrap it in strong paper", "write the address clearly on the top"),
]

# (question, right answer, wrong answer)
FACTS = [
    ("which day comes after Monday", "Tuesday comes after Monday", "Sunday comes after Monday"),
    ("which month comes after May", "June comes after May", "March comes after May"),
    ("how many days are in a week", "there are seven days in a week", "there are nine days in a week"),
    ("how many hours are in a day", "there are twenty-four hours in a day", "there are ten hours in a day"),
    ("how many legs a spider has", "a spider has eight legs", "a spider has four legs"),
    ("how many wheels a bicycle has", "a bicycle has two wheels", "a bicycle has five wheels"),
    ("what colour grass is", "grass is green", "grass is purple"),
    ("what colour you get from blue and yellow", "blue and yellow make green", "blue and yellow make red"),
    ("what ice is made of", "ice is frozen water", "ice is frozen sand"),
    ("what bees make", "bees make honey and wax", "bees make butter and paper"),
    ("what cows eat", "cows eat grass and hay", "cows eat fish and stones"),
    ("what plants need to grow", "plants need light, water and air", "plants need salt, smoke and noise"),
    ("where the sun rises", "the sun rises in the east", "the sun rises in the north"),
    ("where fish live", "fish live in water", "fish live in the clouds"),
    ("what the capital of France is", "Paris is the capital of France", "Rome is the capital of France"),
    ("what the capital of Italy is", "Rome is the capital of Italy", "Paris is the capital of Italy"),
    ("what the capital of Japan is", "Tokyo is the capital of Japan", "London is the capital of Japan"),
    ("what two and three make", "two and three make five", "two and three make nine"),
    ("what ten minus four is", "ten minus four is six", "ten minus four is one"),
    ("what a baby dog is called", "a baby dog is called a puppy", "a baby dog is called a teapot"),
    ("what a baker does", "a baker makes bread and cakes", "a baker repairs shoes and clocks"),
    ("what a doctor does", "a doctor helps people who are ill", "a doctor sells tickets for trains"),
    ("what a map is for", "a map shows where places are", "a map keeps soup warm"),
    ("what a clock shows", "a clock shows the time", "a clock shows the price of milk"),
    ("which is larger, the sun or the moon", "the sun is far larger than the moon", "the moon is far larger than the sun"),
    ("which is faster, a car or a snail", "a car is faster than a snail", "a snail is faster than a car"),
    ("why the sky is blue", "the air scatters blue light more than red", "the sea is painted on it every night"),
    ("why leaves fall in autumn", "trees drop their leaves to save water", "trees drop their leaves because they are bored"),
    ("why we wear coats in winter", "a coat keeps the warmth of the body in", "a coat makes the snow go away"),
    ("why bread rises", "yeast makes small bubbles of gas in the dough", "bread is afraid of the oven"),
]

# (worry, kind remark, suggestion)
WORRIES = [
    ("I am nervous about my exam", "it is natural to feel that way", "try one old paper with a clock beside you"),
    ("I had an argument with my friend", "that must have been hard", "tell your friend calmly how you felt"),
    ("I cannot fall asleep", "that is tiring", "read something quiet instead of looking at a screen"),
    ("I forgot my mother's birthday", "it happens to kind people too", "call her today and say you are sorry"),
    ("I start a new job tomorrow", "congratulations on the new job", "lay out your clothes tonight and leave early"),
    ("I feel lonely in my new town", "moving is not easy", "join a club or a class near your home"),
    ("I lost my keys", "that is annoying", "think of the last door you opened and look there first"),
    ("I am afraid of the dentist", "many people feel the same", "ask the dentist to explain each step"),
    ("my plant is dying", "do not give up on it yet", "move it to a brighter place and water it less"),
    ("I missed my train", "that is bad luck", "ask at the desk whether your ticket is good for the next one"),
    ("I broke my neighbour's cup", "accidents happen", "own up to it and offer to buy a new one"),
    ("my dog barks all night", "that must be hard for everyone", "take a longer walk with it in the evening"),
    ("I have too much work", "that sounds heavy", "choose the two tasks that matter most and start there"),
    ("I do not understand fractions", "they puzzle many people at first", "cut a cake into equal parts and count the pieces"),
    ("I am bored on Sundays", "a free day can feel long", "visit a museum or bake something new"),
    ("I spoke badly in the meeting", "one bad day does not define you", "write three short notes before the next one"),
    ("my computer is slow", "that wastes a lot of time", "close the programs you do not need and start it again"),
    ("I want to eat less sugar", "that is a good plan", "drink water and keep fruit on the table"),
    ("I am sad that summer is over", "it is fine to miss it", "plan one walk outside every week"),
    ("my soup is too salty", "you can still save it", "add water and a few pieces of potato"),
]

# (what to write, the text)
TEXTS = [
    ("a thank-you note to my teacher", "thank you for your patience this year, I learned a great deal from you"),
    ("a birthday wish for my sister", "happy birthday, I hope the year ahead brings you joy"),
    ("a note that says I will be late", "I am running late and will be there at ten, please start without me"),
    ("an invitation to dinner", "please join us for dinner on Friday at seven, we would love to see you"),
    ("a sign for a garden gate", "please close the gate behind you, the dog is curious"),
    ("a short apology to a customer", "we are sorry for the delay, your order leaves our shop today"),
    ("a line about the rain", "soft rain taps on the roof and the street shines like glass"),
    ("a line about the sea", "the sea breathes in and out and leaves shells on the sand"),
    ("a greeting for new neighbours", "welcome to our street, knock on our door if you need anything"),
    ("a get-well card for a colleague", "we all miss you and hope that you feel better soon"),
    ("a request for a day off", "may I take Monday off, my work for this week is finished"),
    ("a description of a forest", "tall trees stand close together and birds call from the leaves"),
    ("a reminder about a meeting", "our meeting begins at nine tomorrow, please bring your questions"),
    ("a farewell to a friend", "travel safely and write to us, we will think of you often"),
]

HOW_TO_QUESTIONS = [
    "How do I {0}?", "Can you tell me how to {0}?", "What is the best way to {0}?", "I would like to {0}. Where do I start?",
    "Please explain how to {0}.", "My friend wants to {0}. Any advice?", "I have never tried to {0}. Can you help?",
]
FACT_QUESTIONS = [
    "Can you tell me {0}?", "Do you know {0}?", "My daughter asked me {0}.", "Please tell me {0}.", "I forgot {0}. Can you help?",
    "I would like to know {0}.",
]
WORRY_QUESTIONS = ["{0}.", "{0}. What should I do?", "{0}. Do you have any advice?", "{0}. Can you help me?", "{0}. Any ideas?"]
TEXT_QUESTIONS = ["Write {0}.", "Please write {0}.", "Can you help me with {0}?", "I need {0}.", "Could you draft {0} for me?"]

GOOD_OPENINGS = ["Of course.", "Gladly.", "Good question.", "Happy to help.", "Sure.", "Certainly.", "Yes, I can help with that.", "With pleasure."]
GOOD_CLOSINGS = ["", "", "I hope that helps.", "Let me know how it goes.", "Feel free to ask more.", "Good luck!", "Take your time."]

DISMISSIVE = [
    "Why do you ask me? Find it out yourself.", "I do not care about that.", "That is a silly question.", "Everybody knows that except you.",
    "Leave me alone.", "I have better things to do.", "Stop wasting my time.", "Not my problem.",
]
EVASIVE = [
    "It depends on many things, and who can really say.", "Some people say one thing and some people say another.", "Maybe, maybe not, hard to tell.",
    "There are ways, and then there are other ways.", "Well, things are what they are, whatever that means.", "I might know, or I might not.",
]
BOASTFUL = [
    "I am far too clever for this.", "I never make mistakes, so just trust me.", "Nobody is as smart as I am.", "You are lucky that I even answer.",
]
OFF_TOPIC = [
    "Anyway, buy a new car today.", "Have you seen the football game?", "Bananas are on sale this week.", "My uncle once owned a red boat.",
    "Click here to win a prize!", "By the way, chairs have legs.",
]


def checksum(text):
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "big")


def pick(options, *key):
    """One of the options, decided by the key alone."""
    return options[checksum("|".join(key)) % len(options)]


def sentence(text):
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def join(*parts):
    return " ".join(part for part in parts if part)


def two(first, second, *key):
    """An entry of `first` and a different one of `second`."""
    start = pick(first, *key)
    return join(start, pick([text for text in second if text != start], "second", *key))


def poor(key, content, wrong):
    """A poor answer to the question `key`: `content` is the good answer's substance, `wrong` a false one or an empty text."""
    kinds = ["dismissive", "evasive", "boastful", "off the point", "rude but right", "right but rambling"]
    kind = pick(kinds + ["wrong"] * 4 if wrong else kinds, "kind", key)
    if kind == "wrong":
        return join(sentence(wrong), pick(BOASTFUL + DISMISSIVE + [""], "after", key))
    if kind == "evasive":
        return two(EVASIVE, EVASIVE + [""], key)
    if kind == "boastful":
        return two(BOASTFUL, DISMISSIVE, key)
    if kind == "off the point":
        return two(OFF_TOPIC, OFF_TOPIC, key)
    if kind == "rude but right":
        return join(pick(DISMISSIVE, key), sentence(content))
    if kind == "right but rambling":
        return join(sentence(content), two(OFF_TOPIC + BOASTFUL, DISMISSIVE, key))
    return two(DISMISSIVE, DISMISSIVE + EVASIVE, key)


def pair(kind, prompt, answer, content, wrong=""):
    key = (kind, prompt)
    chosen = join(pick(GOOD_OPENINGS, "open", *key), answer, pick(GOOD_CLOSINGS, "close", *key))
    return {"prompt": prompt, "chosen": chosen, "rejected": poor(prompt, content, wrong)}


def pairs():
    for aim, first, second in HOW_TO:
        for frame in HOW_TO_QUESTIONS:
            link = pick(["{0}, then {1}", "first {0}, then {1}", "{0}. After that, {1}", "{0} and {1}"], "link", aim, frame)
            yield pair("how", frame.format(aim), sentence(link.format(first, second)), first)
    for asked, right, wrong in FACTS:
        for frame in FACT_QUESTIONS:
            yield pair("fact", frame.format(asked), sentence(right), right, wrong)
    for worry, remark, advice in WORRIES:
        for frame in WORRY_QUESTIONS:
            yield pair("worry", sentence(frame.format(worry)), join(sentence(remark), sentence(advice)), advice)
    for wanted, text in TEXTS:
        for frame in TEXT_QUESTIONS:
            yield pair("text", frame.format(wanted), sentence("here it is: " + text), text)


def main():
    unique = {row["prompt"]: row for row in pairs()}
    # Sorted by checksum: the kinds are mixed, and a split anywhere is a fair one.
    for prompt in sorted(unique, key=checksum):
        sys.stdout.write(json.dumps(unique[prompt], ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
