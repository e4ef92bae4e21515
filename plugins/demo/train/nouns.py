"""The words the stories are about: who may be a hero, what may be found, where it may happen."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(",") if part.strip())


ANIMALS = _words("""
    fox, rabbit, bear, mouse, cat, dog, squirrel, hedgehog, deer, wolf, badger, raccoon, beaver, mole, lion,
    tiger, elephant, giraffe, monkey, panda, koala, kangaroo, zebra, camel, hippo, rhino, cow, pig, sheep,
    goat, horse, pony, donkey, lamb, calf, puppy, kitten, bunny, hamster, frog, toad, lizard, snake, snail,
    ant, spider, caterpillar, cheetah, leopard, gorilla, sloth, otter, skunk, chipmunk, weasel, moose,
    llama, alpaca, buffalo, yak, lemur, armadillo, anteater, meerkat, porcupine, possum, gecko, chameleon,
    guinea pig, piglet, foal, bear cub, lion cub, fox cub, beetle, cricket, grasshopper, worm, bull,
    reindeer, polar bear, jaguar, hyena, antelope, gazelle, ferret, rat, tortoise, crocodile, alligator,
    wombat, bison, ape, iguana
""")
BIRDS = _words("""
    owl, duck, hen, rooster, goose, swan, penguin, parrot, crow, robin, sparrow, eagle, chick, duckling,
    turkey, peacock, pigeon, flamingo, ostrich, woodpecker, hummingbird, seagull, stork, raven, canary,
    swallow, blackbird, hawk, falcon, pelican, toucan, magpie, dove, bird, bee, butterfly, dragonfly,
    ladybug, firefly, bat, moth, bumblebee
""")
SWIMMERS = _words("""
    fish, whale, dolphin, octopus, crab, shark, seahorse, starfish, jellyfish, goldfish, turtle, seal,
    shrimp, lobster, squid, clownfish, salmon, walrus, eel, tadpole, manatee, sea turtle, stingray, clam,
    trout
""")
BOATS = _words("""
    boat, ship, sailboat, tugboat, submarine, ferry, rowboat, raft, steamboat, canoe
""")
MEN = _words("""
    boy, king, prince, man, old man, grandfather, knight, wizard, fisherman, uncle, brother, father
""")
WOMEN = _words("""
    girl, queen, princess, woman, old woman, grandmother, witch, aunt, sister, mother, ballerina
""")
PEOPLE = _words("""
    farmer, baker, sailor, pirate, painter, teacher, doctor, gardener, shepherd, cook, tailor, miller,
    musician, explorer, inventor, scientist, astronaut, firefighter, clown, magician, carpenter, blacksmith,
    nurse, detective, pilot, librarian, singer, dancer, potter, child, hunter, toymaker, clockmaker,
    shoemaker, captain, drummer, beekeeper, judge, postman, student, cowboy, hiker, engineer, juggler,
    beggar, merchant, poet, ninja
""")
CREATURES = _words("""
    dragon, unicorn, giant, troll, fairy, elf, gnome, monster, ghost, dinosaur, goblin, yeti, ogre, phoenix,
    alien, vampire, dwarf, griffin, werewolf, genie, zombie, pixie, snow monster, baby dragon, mummy
""")
MACHINES = _words("""
    robot, train, car, truck, tractor, bus, fire truck, taxi, digger, scooter, steam engine, tram, van, race
    car, bulldozer, wagon, jeep, snowplow, toy car, toy train, motorbike
""")
FLYERS = _words("""
    airplane, helicopter, rocket, balloon, cloud, star, kite, spaceship, hot air balloon, plane, drone,
    moon, sun, snowflake, raindrop, leaf, feather, comet, paper plane, rainbow, breeze, bubble
""")
TOYS = _words("""
    snowman, teddy bear, doll, toy soldier, puppet, scarecrow, gingerbread man, teapot, rag doll, clock,
    pumpkin, potato, shoe, sock, spoon, broom, chair, button, pencil, candle, cupcake, cookie, computer,
    pebble, pillow, tin soldier, rocking horse, vacuum cleaner, fridge, toaster, lamp, egg, mushroom,
    carrot, apple tree, acorn, snowball, crayon, robot dog, statue, wooden horse, stuffed rabbit
""")

# Drawn more often, because these are what people ask for first.
COMMON = _words("""
    fox, cat, dog, rabbit, bear, mouse, owl, dragon, robot, boy, girl, princess, king, boat, bird, fish, wolf, lion,
    frog, duck, horse, elephant, penguin, wizard, knight, pirate, snowman, turtle, monkey, unicorn, hedgehog, squirrel
""")

ITEMS = _words("""
    lantern, key, map, ball, hat, scarf, drum, flute, bell, book, ring, coin, shell, box, basket, rope,
    mirror, umbrella, whistle, compass, feather, blanket, necklace, crown, candle, telescope, letter,
    pebble, stone, watch, clock, teacup, spoon, ribbon, boot, shoe, glove, mitten, coat, bracelet, medal,
    paintbrush, guitar, violin, trumpet, toy boat, toy train, music box, treasure chest, golden egg, magic
    wand, magnifying glass, wooden sword, paper boat, acorn, button, backpack, bucket, shovel, lamp,
    flashlight, pen, notebook, pillow, pot, bottle, jar, marble, seashell, crystal, pearl, diamond, gem,
    seed, flower, rose, leaf, bone, fishing rod, net, kite, balloon, sled, puzzle, picture, photograph,
    painting, camera, doll, teddy bear, wand, cup, bowl, broom, ladder, helmet, shield, sword, bow, harp,
    piano, horn, banjo, tambourine, toy, toy car, toy robot, wheel, rug, carpet, quilt, sweater, cape,
    cloak, mask, dress, apron, pocket watch, locket, brooch, bag, purse, suitcase, hammer, saw, nail,
    needle, thread, magnet, battery, radio, phone, computer, clay pot, vase, teapot, kettle, pan, fork,
    plate, tray, pumpkin, potion, spell book, scroll, feather pen, star, statue, snow globe, skateboard,
    bicycle, yo-yo, dice, tent, diary, calendar, postcard, stamp, ticket, flag, chain, lock, doorbell, comb,
    hairbrush, sponge, soap, towel, sock, saddle, horseshoe, wagon, wheelbarrow, watering can, rake, axe,
    pickaxe, hourglass, globe, microscope
""")
FOODS = _words("""
    apples, berries, nuts, cookies, cakes, carrots, pancakes, pies, cherries, pears, muffins, strawberries,
    blueberries, honey cakes, sandwiches, plums, peaches, grapes, bananas, oranges, sweet rolls, acorns,
    cupcakes, dumplings, noodles, waffles, mangoes, tarts, biscuits, pizzas, donuts, melons, chestnuts,
    candies, tomatoes
""")

ADJECTIVES = _words("""
    little, small, brave, kind, clever, shy, curious, happy, young, gentle, cheerful, quiet, silly, lazy,
    tiny, friendly, playful, lonely, hungry, sleepy, funny, grumpy, proud, old, busy, wise, careful, lucky,
    fluffy, cute, clumsy, smart, strong, red, blue, gray, white, black, brown, golden, green, magic,
    magical, big, purple, pink, round, tall, sad, polite, stubborn, mischievous, nervous, adventurous
""")
PEOPLE_ADJECTIVES = _words("""
    little, brave, kind, clever, shy, curious, happy, young, gentle, cheerful, quiet, silly, lazy, friendly,
    playful, lonely, hungry, sleepy, funny, grumpy, proud, old, busy, wise, careful, lucky, clumsy, smart,
    strong, tall, sad, polite, stubborn, mischievous, nervous, adventurous
""")
FRIEND_ADJECTIVES = _words("""
    kind, old, wise, friendly, small, gentle, cheerful, young, clever, quiet, shy, tall, busy
""")
ITEM_ADJECTIVES = _words("""
    old, shiny, red, blue, golden, silver, tiny, beautiful, strange, green, little, yellow, bright, purple,
    magic, big, white, black, pretty, special, wonderful, lovely, small, colorful
""")

HE_NAMES = _words("""
    Tom, Ben, Max, Leo, Sam, Oscar, Finn, Jack, Theo, Hugo, Felix, Otto, Milo, Toby, Jasper, Henry, Arlo,
    Bruno, Rusty, Barnaby, Oliver, Archie, Charlie, Ned, Ollie, Gus, Winston, Percy, Louis, Rufus, Basil,
    Edgar, Walter, George, Pedro, Ravi, Omar, Kenji, Mateo, Anton, Emil, Jonas, Tim, Billy, Bobby, Alfie,
    Teddy, Marcus, Simon, Peter, Paul, Daniel, David, Adam, Noah, Liam, Ethan, Lucas, Harry, Freddie,
    Bertie, Duncan, Ivan, Boris, Hans, Tariq
""")
SHE_NAMES = _words("""
    Mia, Lily, Anna, Lucy, Rosa, Ella, Nora, Ruby, Daisy, Clara, Emma, Zoe, Ivy, Luna, Hazel, Poppy, Maya,
    Alice, Sophie, Molly, Penny, Willow, Olive, Stella, Flora, Elsie, Matilda, Nina, Tilly, Greta, Ada,
    Bella, Ginger, Amira, Yuki, Priya, Ines, Sara, Lena, Marta, Jane, Sue, Amy, Kate, Lola, Grace, Holly,
    Violet, Rosie, Betty, Dora, Freya, Heidi, Iris, June, Kira, Mabel, Nell, Ottilie, Paula, Rita, Tess,
    Una, Vera, Wanda, Zara, Sally, Susie
""")
ANY_NAMES = _words("""
    Pip, Dot, Bean, Sunny, Pepper, Biscuit, Button, Nibbles, Sparky, Bubbles, Maple, Cocoa, Snowy, Patch,
    Pebble, Acorn, Echo, Scout, Robin, Sky, Dusty, Bramble, Twig, Clover, Misty, Rocket, Marble, Pumpkin,
    Ziggy, Tinker, Waffle, Noodle, Mango, Peanut, Whiskers, Fuzzy, Bingo, Dizzy, Fern, Jumper, Kiwi, Lucky,
    Moss, Nutmeg, Olli, Pogo
""")

# A place is written with the preposition that goes with being there.
LAND = _words("""
    in the forest, in the meadow, on the hill, in the valley, by the river, in the woods, near the lake, on
    the farm, in the garden, by the pond, in the mountains, in the jungle, in the orchard, by the stream, in
    the park, on the island, in the desert, in the field, at the edge of the forest, in the cave, in the
    swamp, on the prairie
""")
TOWN = _words("""
    in the village, in the town, in the city, by the sea, on the farm, at the castle, near the harbor, in
    the market, at the foot of the mountain, in the valley, on the hill, by the river, by the windmill, near
    the lighthouse, at the school, near the forest, in the old tower, by the lake, near the zoo, by the
    bridge
""")
WATER = _words("""
    in the sea, in the ocean, in the lake, in the bay, in the river, in the lagoon, on the coral reef, in
    the pond
""")
SKY = _words("""
    in the sky, above the mountains, above the village, over the sea, above the city, over the valley
""")
SHORE = _words("""
    by the sea, by the lake, on the beach, by the river, on the island, near the harbor
""")
PLACE_ADJECTIVES = _words("""
    quiet, old, big, little, sunny, peaceful, beautiful, small, lovely
""")

# Sounds of made-up words, which are many so that the model learns to copy any name or subject, piece by piece.
ONSETS = (*_words("""
    b, bl, br, c, ch, cl, cr, d, dr, f, fl, fr, g, gl, gr, h, j, k, kl, kn, l, m, n, p, ph, pl, pr, qu, r, s, sc, sh,
    sk, sl, sm, sn, sp, st, str, sw, t, th, tr, tw, v, vl, w, wh, y, z
"""), "", "")  # fmt: skip
VOWELS = _words("a, e, i, o, u, a, e, i, o, u, ai, ea, ee, oo, ou, y, ie, oa, au, ia, io, eu")
CODAS = (*_words("""
    b, ck, d, ff, g, l, ll, m, n, nd, ng, nt, p, r, rd, rk, rm, rn, s, sh, sk, ss, st, t, th, tt, x, z, ble, ple, mp,
    ct, le, ler, ter, der, ner, ling, ton, kin, let, saur, phant, us, or, ist, ian, ine, ant, er, ina, ello, ard, ey,
    ox, ly
"""), "", "", "", "")  # fmt: skip
