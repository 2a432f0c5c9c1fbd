//! The port's deadlines: a hierarchical timing wheel, as in a clock with nine hands.
//!
//! Time is counted in ticks of 65.5 us and a tick is written in base 64, one digit a level. A deadline lies on the
//! level of the highest digit in which it differs from the cursor (the tick the wheel has reached), in the bucket which
//! that digit names; so level 0 holds the next ticks one by one, and each level above holds 64 times longer buckets.
//! When the cursor enters a bucket of a higher level, its deadlines agree with the cursor in one digit more, and move
//! down. Arming and disarming are O(1); one bit per bucket lets the cursor leap over any empty stretch.
//!
//! A deadline is *fresh* until the next look at the wheel: it has no bucket yet. For one that is taken back before, none is ever
//! worked out. (`anyport bench timer`, arm and cancel on a Xeon: 50 to 53 ns with the bucket found at once, 48 to 50 this way.)
//!
//! Called by the port alone, with the index of an operation's slot as key. Deadlines round up to a tick: a key comes
//! out never before its deadline and at most one tick after it, in order of ticks, and in arming order within one.
#![forbid(unsafe_code)]

/// A tick is 2^16 ns: well below the millisecond that a timer may be late, and coarse enough to keep the levels few.
const TICK_BITS: u32 = 16;

/// 64 buckets a level, so that one word tells which of them are occupied.
const DIGIT_BITS: u32 = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;

/// Rounded up, the latest deadline is tick 2^48: one more than eight digits can say.
const LEVELS: usize = 9;

/// The ring heads of all buckets are the first nodes, and behind them is that of the fresh deadlines.
const FRESH: u32 = (LEVELS * BUCKETS) as u32;

/// The node of key `k` follows at `HEADS + k`.
const HEADS: u32 = FRESH + 1;

/// Nodes are added 16 KiB at a time, or a quarter of what there is: doubling would leave up to half of the memory unused.
const CHUNK: usize = 1024;

/// The tick of a node that lies in no bucket. No deadline has it, see [`LEVELS`].
const UNARMED: u64 = u64::MAX;

/// How many deadlines [`Wheel::next_wake`] looks at before it settles for the time when their bucket moves down.
const SCAN: usize = 16;

/// A link of a bucket's ring: either its head, or one key's deadline. Four of them share a cache line.
#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    tick: u64,
}

/// Standing deadlines, at most one for each key. Times are nanoseconds since an epoch that the caller chooses.
pub(crate) struct Wheel {
    /// The tick up to which everything due has been handed out (by `pop_due`). It never moves back.
    cursor: u64,
    len: usize,
    /// For each level, bit `b` is set when bucket `b` has a deadline in it. In the last word, for the fresh ones.
    occupied: [u64; LEVELS + 1],
    nodes: Vec<Node>,
}

impl Wheel {
    /// An empty wheel at time zero. Memory is first allocated by the first [`arm`](Self::arm).
    pub(crate) const fn new() -> Self {
        Self { cursor: 0, len: 0, occupied: [0; LEVELS + 1], nodes: Vec::new() }
    }

    /// How many deadlines stand.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether no deadline stands.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Gives `key`, which must not be armed, a deadline. One that has passed is due at the next [`pop_due`](Self::pop_due).
    ///
    /// Memory grows with the largest key ever armed (16 bytes a key) and is kept until the wheel is dropped.
    #[inline]
    pub(crate) fn arm(&mut self, key: u32, deadline: u64) {
        let id = HEADS + key;
        if id as usize >= self.nodes.len() {
            self.grow(id);
        }
        debug_assert!(self.node(id).tick == UNARMED, "key {key} is armed twice");
        self.link(id, deadline.div_ceil(1 << TICK_BITS), FRESH, self.node(FRESH).prev, FRESH);
        self.len += 1;
    }

    /// Takes back the deadline of `key`; false if it has none (it was handed out, or never armed).
    #[inline]
    pub(crate) fn disarm(&mut self, key: u32) -> bool {
        let id = HEADS + key;
        match self.nodes.get(id as usize) {
            Some(node) if node.tick != UNARMED => self.unlink(id),
            _ => return false,
        }
        true
    }

    /// Takes out one key whose deadline is not after `now`; the caller repeats this until nothing comes.
    ///
    /// Keys may be armed and disarmed between calls. One that is armed at or before `now` comes out of the same round,
    /// so a caller that re-arms what it gets must move the deadline on.
    #[inline]
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<u32> {
        self.sort_in();
        let now = now >> TICK_BITS;
        // A clock that stepped back makes timers late, never early.
        if now < self.cursor {
            return None;
        }
        while let Some((level, bucket)) = self.first_bucket() {
            let start = self.start(level, bucket);
            if start > now {
                break;
            }
            self.cursor = start;
            let head = head(level, bucket);
            if level == 0 {
                let id = self.node(head).next;
                self.unlink(id);
                return Some(id - HEADS);
            }
            self.move_down(level, bucket);
        }
        // Nothing starts in between, so no deadline changes its level by this leap.
        self.cursor = now;
        None
    }

    /// When to call [`pop_due`](Self::pop_due) next: no key comes out before that time, and none is late if the caller
    /// sleeps until then. `None` means never.
    ///
    /// It is the time at which the first key comes out, unless that key shares a long bucket with many others: then it
    /// is the time at which they move down, at most once for each level.
    pub(crate) fn next_wake(&mut self) -> Option<u64> {
        self.sort_in();
        let (level, bucket) = self.first_bucket()?;
        let start = self.start(level, bucket);
        let tick = if level == 0 { start } else { self.earliest_of_few(head(level, bucket)).unwrap_or(start) };
        // The last tick is the one that 64 bits of nanoseconds never reach.
        (tick <= u64::MAX >> TICK_BITS).then_some(tick << TICK_BITS)
    }

    /// Puts the fresh deadlines into their buckets, in their order.
    #[inline]
    fn sort_in(&mut self) {
        if self.occupied[LEVELS] != 0 {
            self.sort_all_in();
        }
    }

    #[inline(never)]
    fn sort_all_in(&mut self) {
        self.occupied[LEVELS] = 0;
        let mut id = std::mem::replace(self.node_mut(FRESH), empty_ring(FRESH)).next;
        while id != FRESH {
            let Node { next, tick, .. } = *self.node(id);
            // Nothing may lie behind the cursor: it would never be reached.
            let tick = tick.max(self.cursor);
            // `| 1`: the cursor's own tick is on level 0.
            let level = (((tick ^ self.cursor) | 1).ilog2() / DIGIT_BITS) as usize;
            let head = head(level, digit(tick, level));
            self.link(id, tick, head, self.node(head).prev, head);
            id = next;
        }
    }

    /// The earliest tick in the ring at `head`, if it has at most [`SCAN`] entries.
    fn earliest_of_few(&self, head: u32) -> Option<u64> {
        let mut earliest = UNARMED;
        let mut id = self.node(head).next;
        for _ in 0..SCAN {
            earliest = earliest.min(self.node(id).tick);
            id = self.node(id).next;
            if id == head {
                return Some(earliest);
            }
        }
        None
    }

    /// The occupied bucket with the earliest deadlines. All of a level comes before all of the level above it.
    #[inline]
    fn first_bucket(&self) -> Option<(usize, usize)> {
        let level = self.occupied[..LEVELS].iter().position(|&bits| bits != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// The first tick of a bucket: the digits above are those of the cursor, the digits below are zero.
    #[inline]
    fn start(&self, level: usize, bucket: usize) -> u64 {
        let shift = DIGIT_BITS * level as u32;
        let above = self.cursor >> shift >> DIGIT_BITS << DIGIT_BITS;
        (above | bucket as u64) << shift
    }

    /// Spreads a bucket that the cursor has just entered over the level below, which is empty. (What agrees with the
    /// cursor in more digits lands in bucket 0 there; `pop_due` enters that next, before anyone sees it.)
    ///
    /// The ring is walked from both ends at once: each step of a walk waits for a node to come from memory, and two
    /// walks wait at the same time. To keep the order, both meet in the middle of the new rings, too.
    fn move_down(&mut self, level: usize, bucket: usize) {
        let from = head(level, bucket);
        self.occupied[level] &= !(1 << bucket);
        let Node { next: mut first, prev: mut last, .. } = *self.node(from);
        *self.node_mut(from) = empty_ring(from);

        let below = level - 1;
        let mut middles: [u32; BUCKETS] = std::array::from_fn(|bucket| head(below, bucket));
        loop {
            let Node { next, tick, .. } = *self.node(first);
            let bucket = digit(tick, below);
            let middle = std::mem::replace(&mut middles[bucket], first);
            let behind = self.node(middle).next;
            self.link(first, tick, head(below, bucket), middle, behind);
            if first == last {
                break;
            }
            let Node { prev, tick, .. } = *self.node(last);
            let bucket = digit(tick, below);
            let middle = middles[bucket];
            let behind = self.node(middle).next;
            self.link(last, tick, head(below, bucket), middle, behind);
            if next == last {
                break;
            }
            (first, last) = (next, prev);
        }
    }

    /// Puts a node between two neighbours of the ring at `head`.
    #[inline]
    fn link(&mut self, id: u32, tick: u64, head: u32, prev: u32, next: u32) {
        self.node_mut(prev).next = id;
        self.node_mut(next).prev = id;
        *self.node_mut(id) = Node { next, prev, tick };
        self.occupied[head as usize / BUCKETS] |= 1 << (head as usize % BUCKETS);
    }

    /// Takes an armed node out of its ring.
    #[inline(always)]
    fn unlink(&mut self, id: u32) {
        let node = self.node_mut(id);
        let Node { next, prev, .. } = *node;
        node.tick = UNARMED;
        self.node_mut(next).prev = prev;
        self.node_mut(prev).next = next;
        // Only the head is left.
        if next == prev {
            self.occupied[next as usize / BUCKETS] &= !(1 << (next as usize % BUCKETS));
        }
        self.len -= 1;
    }

    #[cold]
    fn grow(&mut self, id: u32) {
        let used = self.nodes.len();
        let more = (id as usize + 1 - used).next_multiple_of(CHUNK).max(used / 4);
        self.nodes.reserve_exact(more);
        self.nodes.extend((used..used + more).map(|id| empty_ring(id as u32)));
    }

    #[inline]
    fn node(&self, id: u32) -> &Node {
        &self.nodes[id as usize]
    }

    #[inline]
    fn node_mut(&mut self, id: u32) -> &mut Node {
        &mut self.nodes[id as usize]
    }
}

/// The digit of a tick on a level, which is the bucket there.
#[inline]
fn digit(tick: u64, level: usize) -> usize {
    (tick >> (DIGIT_BITS * level as u32)) as usize % BUCKETS
}

/// The node that is the head of a bucket's ring.
#[inline]
fn head(level: usize, bucket: usize) -> u32 {
    (level * BUCKETS + bucket) as u32
}

/// A ring of nothing but its head; also what a key's node is before it is first armed.
#[inline]
fn empty_ring(id: u32) -> Node {
    Node { next: id, prev: id, tick: UNARMED }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const TICK: u64 = 1 << TICK_BITS;

    /// What the wheel must do, in the plainest way.
    #[derive(Default)]
    struct Model {
        now: u64,
        armed: u64,
        standing: BTreeMap<u32, Standing>,
    }

    /// The order in which keys come out is that of (`tick`, `nth`).
    #[derive(Clone, Copy)]
    struct Standing {
        deadline: u64,
        tick: u64,
        nth: u64,
    }

    impl Model {
        fn arm(&mut self, key: u32, deadline: u64) {
            let tick = deadline.div_ceil(TICK).max(self.now / TICK);
            let nth = self.armed;
            self.armed += 1;
            self.standing.insert(key, Standing { deadline, tick, nth });
        }

        /// The time at which the first key comes out, if 64 bits can tell it.
        fn earliest(&self) -> Option<u64> {
            self.standing.values().map(|s| s.tick).min()?.checked_mul(TICK)
        }
    }

    fn pop_all(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop_due(now)).collect()
    }

    fn check_pop(wheel: &mut Wheel, model: &mut Model, now: u64) {
        model.now = now;
        let keys = pop_all(wheel, now);
        let order: Vec<_> = keys
            .iter()
            .map(|key| {
                let s = model.standing.remove(key).expect("a key that stands, and once only");
                assert!(s.deadline <= now, "{key} came out early: {} at {now}", s.deadline);
                (s.tick, s.nth)
            })
            .collect();
        assert!(order.is_sorted(), "out of order: {keys:?} {order:?}");
        for (key, s) in &model.standing {
            let late = u128::from(s.deadline) + u128::from(TICK) <= u128::from(now);
            assert!(!late, "{key} is late: {} at {now}", s.deadline);
        }
    }

    fn check_next_wake(wheel: &mut Wheel, model: &Model) {
        match (wheel.next_wake(), model.earliest()) {
            (Some(wake), Some(earliest)) if model.standing.len() <= SCAN => {
                assert_eq!(wake, earliest)
            }
            (Some(wake), Some(earliest)) => assert!(wake <= earliest, "{wake} is after {earliest}"),
            (wake, earliest) => assert_eq!(wake, earliest),
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        ArmIn(u32, u64),
        ArmAt(u32, u64),
        Disarm(u32),
        Sleep,
        Advance(u64),
        ClockBack(u64),
        Look,
    }

    /// Spans of all magnitudes: from nothing to the whole range.
    fn span() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..=64u32).prop_map(|(n, bits)| n.checked_shr(bits).unwrap_or(0))
    }

    fn step(keys: u32) -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..keys, span()).prop_map(|(key, by)| Step::ArmIn(key, by)),
            1 => (0..keys, span()).prop_map(|(key, at)| Step::ArmAt(key, at)),
            1 => (0..keys, span()).prop_map(|(key, before)| Step::ArmAt(key, u64::MAX - before)),
            4 => (0..keys).prop_map(Step::Disarm),
            2 => Just(Step::Sleep),
            // Mostly short, so that a script does not run out of time at once.
            2 => (span(), 16..64u32).prop_map(|(by, bits)| Step::Advance(by >> bits)),
            1 => span().prop_map(Step::ClockBack),
            4 => Just(Step::Look),
        ]
    }

    fn run(steps: Vec<Step>) {
        let mut wheel = Wheel::new();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::ArmIn(key, by) if !model.standing.contains_key(&key) => {
                    let deadline = model.now.saturating_add(by);
                    wheel.arm(key, deadline);
                    model.arm(key, deadline);
                }
                Step::ArmAt(key, deadline) if !model.standing.contains_key(&key) => {
                    wheel.arm(key, deadline);
                    model.arm(key, deadline);
                }
                Step::ArmIn(key, _) | Step::ArmAt(key, _) | Step::Disarm(key) => {
                    assert_eq!(wheel.disarm(key), model.standing.remove(&key).is_some());
                }
                Step::Sleep => {
                    if let Some(wake) = wheel.next_wake() {
                        let now = model.now.max(wake);
                        check_pop(&mut wheel, &mut model, now);
                    }
                }
                Step::Advance(by) => {
                    let now = model.now.saturating_add(by);
                    check_pop(&mut wheel, &mut model, now);
                }
                Step::ClockBack(by) => {
                    let now = model.now.saturating_sub(by);
                    for key in pop_all(&mut wheel, now) {
                        let standing = model.standing.remove(&key).unwrap();
                        assert!(standing.deadline <= now, "{key} came out early");
                    }
                }
                // Not behind each step: deadlines are fresh until it.
                Step::Look => check_next_wake(&mut wheel, &model),
            }
            assert_eq!((wheel.len(), wheel.is_empty()), (model.standing.len(), model.standing.is_empty()));
        }

        // Whoever only ever sleeps until `next_wake` gets every key on its tick, and soon.
        let most_wakes = LEVELS * (model.standing.len() + 1);
        for _ in 0..most_wakes {
            let (Some(wake), Some(earliest)) = (wheel.next_wake(), model.earliest()) else {
                break;
            };
            let before = model.standing.len();
            let now = model.now.max(wake);
            check_pop(&mut wheel, &mut model, now);
            assert_eq!(model.standing.len() < before, wake == earliest);
            check_next_wake(&mut wheel, &model);
        }
        assert_eq!(wheel.next_wake(), None, "the wakes make no progress");
    }

    proptest! {
        #[test]
        fn a_few_deadlines_behave_as_the_model(steps in prop::collection::vec(step(8), 0..100)) {
            run(steps);
        }

        #[test]
        fn many_deadlines_behave_as_the_model(steps in prop::collection::vec(step(300), 0..1000)) {
            run(steps);
        }
    }

    #[test]
    fn a_million_timers_come_out_once_each_in_order_of_ticks() {
        const N: u32 = 1_000_000;
        // A fixed stride that shares no factor with the second spreads the deadlines over it, unsorted.
        let deadline = |key: u32| u64::from(key) * 618_033_989 % 1_000_000_000;
        let mut wheel = Wheel::new();
        for key in 0..N {
            wheel.arm(key, deadline(key));
        }
        let mut seen = vec![false; N as usize];
        let mut last_tick = 0;
        while let Some(now) = wheel.next_wake() {
            while let Some(key) = wheel.pop_due(now) {
                assert!(!std::mem::replace(&mut seen[key as usize], true), "{key} came out twice");
                let tick = deadline(key).div_ceil(TICK);
                assert!(deadline(key) <= now && tick >= last_tick, "{key} at {now}");
                last_tick = tick;
            }
        }
        assert!(wheel.is_empty());
        assert!(seen.iter().all(|&seen| seen));
    }

    #[test]
    fn a_key_can_be_armed_again_as_it_comes_out() {
        let mut wheel = Wheel::new();
        let period = |key: u32| u64::from(key + 1) * 1_000_000;
        for key in 0..10 {
            wheel.arm(key, period(key));
        }
        let mut due = [0; 10];
        while let Some(now) = wheel.next_wake().filter(|&now| now <= 1_000_500_000) {
            while let Some(key) = wheel.pop_due(now) {
                due[key as usize] += 1;
                wheel.arm(key, (due[key as usize] + 1) * period(key));
            }
        }
        assert_eq!(due, [1000, 500, 333, 250, 200, 166, 142, 125, 111, 100]);
        assert_eq!(wheel.len(), 10);
    }

    #[test]
    fn a_key_armed_in_the_past_comes_out_of_the_same_round_behind_its_tick() {
        let mut wheel = Wheel::new();
        wheel.arm(1, 5 * TICK);
        wheel.arm(2, 5 * TICK);
        wheel.arm(3, 6 * TICK);
        assert_eq!(wheel.pop_due(10 * TICK), Some(1));
        wheel.arm(1, 0);
        assert_eq!(pop_all(&mut wheel, 10 * TICK), [2, 1, 3]);
    }

    #[test]
    fn what_is_fresh_is_taken_back_without_a_bucket() {
        let mut wheel = Wheel::new();
        for key in 0..4 {
            wheel.arm(key, 5 * TICK);
        }
        assert!(wheel.disarm(0) && wheel.disarm(2));
        wheel.arm(0, 5 * TICK);
        assert_eq!(wheel.first_bucket(), None);
        assert_eq!(wheel.next_wake(), Some(5 * TICK));
        assert_eq!(wheel.first_bucket(), Some((0, 5)));
        wheel.arm(2, 4 * TICK);
        assert_eq!(pop_all(&mut wheel, 5 * TICK), [2, 1, 3, 0]);
        wheel.arm(1, 6 * TICK);
        assert!(wheel.disarm(1) && wheel.is_empty());
        assert_eq!(wheel.next_wake(), None);
    }

    #[test]
    fn disarming_tells_whether_the_key_was_armed() {
        let mut wheel = Wheel::new();
        assert!(!wheel.disarm(7), "no memory yet");
        wheel.arm(7, TICK);
        assert!(!wheel.disarm(8), "never armed");
        assert!(!wheel.disarm(1_000_000), "beyond the memory");
        assert!(wheel.disarm(7));
        assert!(!wheel.disarm(7), "disarmed");
        assert_eq!(wheel.next_wake(), None);
        wheel.arm(7, TICK);
        assert_eq!(wheel.pop_due(TICK), Some(7));
        assert!(!wheel.disarm(7), "handed out");
    }

    #[test]
    fn a_long_idle_deadline_causes_one_wake_and_time_leaps_to_it() {
        let mut wheel = Wheel::new();
        let century = 100 * 365 * 86_400 * 1_000_000_000;
        wheel.arm(0, century);
        let wake = wheel.next_wake().unwrap();
        assert!((century..century + TICK).contains(&wake));
        assert_eq!(wheel.pop_due(wake - 1), None);
        assert_eq!(wheel.next_wake(), Some(wake));
        assert_eq!(wheel.pop_due(wake), Some(0));
    }

    #[test]
    fn memory_comes_with_the_first_key_and_grows_little_and_only_with_larger_keys() {
        let mut wheel = Wheel::new();
        assert_eq!((wheel.pop_due(TICK), wheel.next_wake(), wheel.disarm(0)), (None, None, false));
        assert_eq!(wheel.nodes.capacity(), 0);
        let mut memory = None;
        for round in 0..3 {
            for key in 0..100_000 {
                wheel.arm(key, round * 1_000_000_000 + u64::from(key) * 4_321);
            }
            let needed = HEADS as usize + 100_000;
            assert!((needed..=needed + needed / 4 + CHUNK).contains(&wheel.nodes.capacity()));
            assert_eq!(wheel.nodes.capacity(), *memory.get_or_insert(wheel.nodes.capacity()), "the keys are as before");
            assert_eq!(pop_all(&mut wheel, (round + 1) * 1_000_000_000).len(), 100_000);
        }
        assert_eq!(size_of::<Node>(), 16);
    }
}
