"""The four grid worlds again, in plain Python, written from the specification alone.

Independent of `dream_jax.envs` on purpose: it shares no table, helper or idiom with it, so that a
mistake in one is not repeated in the other. One object is one running episode:

    observation = world.reset(problem_id, instruction)
    observation, reward, done = world.step(action)

`world.events` counts what happened since construction, so that a test can tell what it covered.
"""

import collections
import itertools

LEFT, UP, RIGHT, DOWN, NOOP, RIDE, END, PICK_UP, DROP = range(9)
MOVES = {LEFT: (-1, 0), UP: (0, 1), RIGHT: (1, 0), DOWN: (0, -1)}
HORIZON = 20
STEP_REWARD = -0.1


class World:
    """What all four have in common: walking, the clock, and the price of ending early."""

    side: int
    start: tuple[int, int]

    def __init__(self):
        self.events = collections.Counter()

    def reset(self, problem_id, instruction):
        self.problem_id = problem_id
        self.instruction = tuple(instruction)
        self.agent = self.start
        self.time = 0
        self.over = False
        self.prepare()
        return self.observe()

    def step(self, action):
        if self.over:
            raise RuntimeError("the episode is over: call reset")
        self.time += 1
        if action in MOVES:
            self.walk(*MOVES[action])
        else:
            self.act(action)

        reward, success = self.judge(action)
        if success:
            self.events["success"] += 1
            self.over = True
        if action == END:
            self.events["end_episode"] += 1
            reward += STEP_REWARD * (HORIZON - self.time)
            self.over = True
        if self.time == HORIZON:
            self.events["full_length"] += 1
            self.over = True
        return self.observe(), reward, self.over

    def walk(self, dx, dy):
        x, y = self.agent
        target = (x + dx, y + dy)
        if all(0 <= coordinate < self.side for coordinate in target):
            self.agent = target
        else:
            self.events["bumped_into_border"] += 1


class BusWorld(World):
    """Coloured buses lead to the corners; which stop leads where is the problem."""

    side = 9
    start = (4, 4)
    num_problems = 24
    goals = [(0, 0), (8, 8), (0, 8), (8, 0)]
    stops = [(4, 5), (5, 4), (3, 4), (4, 3)]
    destinations = [(0, 1), (0, 7), (8, 1), (8, 7)]

    def connections(self):
        """Pairs of cells that a bus joins."""
        order = list(itertools.permutations(self.destinations))[self.problem_id % 24]
        return list(zip(self.stops, order, strict=True))

    def prepare(self):
        self.rides = {}
        for here, there in self.connections():
            self.rides[here] = there
            self.rides[there] = here

    def act(self, action):
        if action == RIDE:
            if self.agent in self.rides:
                central = max(abs(coordinate - 4) for coordinate in self.agent) == 1
                self.events["rode_out" if central else "rode_back"] += 1
                self.agent = self.rides[self.agent]
            else:
                self.events["rode_nothing"] += 1

    def judge(self, action):
        del action
        return (1.0, True) if self.agent == self.instruction else (STEP_REWARD, False)

    def observe(self):
        return [*self.agent, 1 if self.agent in self.rides else 0]

    def instructions(self, problem_id):
        del problem_id
        return list(self.goals)


class DistractingBusWorld(BusWorld):
    """Also has grey buses, which lead to the middles of the sides, far from every goal."""

    num_problems = 576
    grey_stops = [(5, 5), (3, 3), (3, 5), (5, 3)]
    grey_destinations = [(0, 4), (4, 0), (8, 4), (4, 8)]

    def connections(self):
        order = list(itertools.permutations(self.grey_destinations))[self.problem_id // 24]
        return super().connections() + list(zip(self.grey_stops, order, strict=True))

    def act(self, action):
        if action == RIDE and self.agent in self.grey_stops + self.grey_destinations:
            self.events["rode_grey"] += 1
        super().act(action)


class MapWorld(BusWorld):
    """Has a cell at which the problem can be read off."""

    map_cell = (7, 3)

    def observe(self):
        reading = 0
        if self.agent == self.map_cell:
            self.events["read_map"] += 1
            reading = self.problem_id + 1
        return [*super().observe(), reading]


class CookingWorld(World):
    """Bring two ingredients to the pot, in order; which fridge holds what is the problem."""

    side = 3
    start = (1, 1)
    pot_cell = (1, 1)
    fridge_cells = [(2, 0), (2, 1), (2, 2)]
    num_problems = 64
    nothing = 4  # how an empty hand or slot is observed

    def contents(self, problem_id):
        return [problem_id % 4, problem_id // 4 % 4, problem_id // 16]

    def prepare(self):
        self.fridges = dict(zip(self.fridge_cells, self.contents(self.problem_id), strict=True))
        self.hand = None
        self.pot = []
        self.stage = 0

    def act(self, action):
        at_pot = self.agent == self.pot_cell
        if action == PICK_UP:
            if self.agent in self.fridges:
                self.events["picked_up" if self.hand is None else "swapped"] += 1
                self.hand = self.fridges[self.agent]
            elif at_pot:  # there is nothing to take out, and the hand comes back empty
                self.events["no_hand_at_pot" if self.hand is None else "lost_at_pot"] += 1
                self.hand = None
            else:
                self.events["picked_up_nothing"] += 1
        elif action == DROP:
            if self.hand is None:
                self.events["dropped_nothing"] += 1
            elif not at_pot:
                self.events["dropped_on_floor"] += 1
            elif len(self.pot) == 3:
                self.events["dropped_in_full_pot"] += 1
            else:
                self.events["dropped_in_pot"] += 1
                self.pot.append(self.hand)
            self.hand = None

    def judge(self, action):
        """The staged reward: stages 0 and 2 wait for an ingredient in hand, 1 and 3 in the pot."""
        wanted = self.instruction[self.stage // 2]
        if self.stage in (0, 2):
            if self.hand == wanted:
                return self.advance()
            if action == PICK_UP:
                self.events[f"wrong_pick_up_{self.stage}"] += 1
                return -0.35, False
        else:
            recipe = list(self.instruction[: self.stage // 2 + 1])
            if self.pot[: len(recipe)] == recipe:
                return self.advance()
            if self.hand != wanted:
                self.events[f"fell_back_{self.stage}"] += 1
                self.stage -= 1
                return -0.35, False
        return STEP_REWARD, False

    def advance(self):
        self.stage += 1
        self.events[f"reached_stage_{self.stage}"] += 1
        return 0.25, self.stage == 4

    def observe(self):
        if self.agent == self.pot_cell:
            under_agent = 2
        elif self.agent in self.fridges:
            under_agent = 3
        else:
            under_agent = 0
        shown = [self.hand, *self.pot, None, None, None][:4]
        return [*self.agent, under_agent, *(self.nothing if s is None else s for s in shown)]

    def instructions(self, problem_id):
        return list(itertools.product(self.contents(problem_id), repeat=2))


WORLDS = {
    "bus": BusWorld,
    "distracting_bus": DistractingBusWorld,
    "map": MapWorld,
    "cooking": CookingWorld,
}
