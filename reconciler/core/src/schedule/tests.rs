//! Life of a schedule: random looks, wakes, failures, panics and clocks that jump.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ROOM: Room = Room {
    all: 4,
    background: 3,
};

fn key(number: usize) -> Key {
    Key::Environment(EnvironmentName::new(format!("e{number}")).unwrap())
}

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: Timestamp::from_second(1_800_000_000 + seconds as i64).unwrap(),
    }
}

/// A world in which looks take time and answer what they are told to.
struct Life {
    schedule: Schedule,
    now: Now,
    /// Looks in flight: when each ends.
    flying: Vec<(Duration, Visit)>,
    /// Every look that began.
    looks: Vec<(Duration, Visit)>,
}

impl Life {
    fn new() -> Self {
        Self {
            schedule: Schedule::new(ROOM),
            now: at(0),
            flying: Vec::new(),
            looks: Vec::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.monotonic += time;
        self.now.wall = self.now.wall.checked_add(time).unwrap_or(Timestamp::MAX);
    }

    /// Begins what may begin; each look takes `long`.
    fn begin(&mut self, long: Duration) {
        while let Some(visit) = self.schedule.begin(self.now) {
            assert!(!visit.causes.is_empty());
            let twice = self.flying.iter().any(|(_, other)| other.key == visit.key);
            assert!(!twice, "two looks at {:?} at once", visit.key);
            self.looks.push((self.now.monotonic, visit.clone()));
            self.flying.push((self.now.monotonic + long, visit));
            assert!(self.flying.len() <= ROOM.all);
            assert_eq!(self.schedule.in_flight, self.flying.len());
        }
    }

    /// Lets time pass until `end`; looks take `long` and answer `answer`.
    fn live(&mut self, end: Duration, long: Duration, answer: impl Fn(&Visit, Now) -> Next) {
        loop {
            self.begin(long);
            let lands = self.flying.iter().map(|(at, _)| *at).min();
            let due = self.schedule.due(self.now);
            assert_ne!(due, Some(Duration::ZERO), "it is due and does not begin");
            let due = due.map(|wait| self.now.monotonic.saturating_add(wait));
            let next = lands.into_iter().chain(due).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                let left = end.saturating_sub(self.now.monotonic);
                return self.pass(left);
            };
            self.pass(next.saturating_sub(self.now.monotonic));
            self.land(&answer);
        }
    }

    fn land(&mut self, answer: impl Fn(&Visit, Now) -> Next) {
        let now = self.now.monotonic;
        let (over, still) = std::mem::take(&mut self.flying)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.flying = still;
        let over: Vec<_> = over;
        for (_, visit) in over {
            let next = answer(&visit, self.now);
            self.schedule.ended(&visit.key, &next, self.now);
        }
    }

    fn looks_at(&self, key: &Key) -> usize {
        self.looks.iter().filter(|(_, one)| one.key == *key).count()
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(10);

/// Looks within an hour at a key that always answers this.
fn per_hour(next: Next) -> usize {
    let mut life = Life::new();
    life.schedule.wake(&key(0), Cause::Start);
    life.live(HOUR, MOMENT, |_, _| next.clone());
    life.looks_at(&key(0))
}

fn every(seconds: u64) -> Next {
    Next::when_changed().and(Cause::DriftDue, When::Every(Duration::from_secs(seconds)))
}

fn later(seconds: u64) -> Retry {
    Retry::Later(Duration::from_secs(seconds))
}

#[test]
fn looks_per_hour_are_bounded_in_every_condition() {
    let calm = Next::when_changed;
    assert_eq!(per_hour(calm()), 1, "nothing to do");
    assert_eq!(per_hour(calm().failed(Retry::NeedsPerson)), 1);
    assert_eq!(per_hour(calm().failed(Retry::WhenInputChanges)), 1);
    assert!((11..=13).contains(&per_hour(every(300))), "drift");
    // 1 + 2 + 4 + ... seconds up to five minutes, then every five minutes.
    assert!(
        per_hour(calm().failed(later(0))) <= 22,
        "a task that panics"
    );
    assert!(
        per_hour(calm().failed(later(15))) <= 17,
        "a remote that is down"
    );
    assert!(
        per_hour(calm().failed(later(300))) <= 5,
        "a correction that fails"
    );
    assert!(per_hour(every(300).failed(later(15))) <= 30);
    assert!(
        per_hour(every(0)) <= 3601,
        "nothing is shorter than the shortest"
    );
    let past = calm().and(Cause::RenewalDue, When::At(Timestamp::UNIX_EPOCH));
    assert!(per_hour(past) <= 3601);
}

#[test]
fn drift_counts_from_the_last_look_for_drift() {
    let mut life = Life::new();
    life.schedule.wake(&key(0), Cause::Start);
    life.schedule.wake(&key(0), Cause::DriftDue);
    for minute in 1..=59 {
        life.live(Duration::from_secs(60 * minute), MOMENT, |_, _| every(600));
        // Pushes do not put it off.
        life.schedule.wake(&key(0), Cause::RefMoved);
    }
    life.live(HOUR, MOMENT, |_, _| every(600));
    let drift = life
        .looks
        .iter()
        .filter(|(_, one)| one.causes.has(Cause::DriftDue));
    assert!((6..=7).contains(&drift.count()));
}

#[test]
fn what_an_earlier_process_saw_counts() {
    let minute = Duration::from_secs(60);
    let looked = |ago: Duration| {
        let mut life = Life::new();
        life.schedule.served(&key(0), Cause::DriftDue, ago, at(0));
        let when = When::Every(10 * minute);
        life.schedule.set(&key(0), Cause::DriftDue, when, at(0));
        life.live(HOUR, MOMENT, |_, _| Next::when_changed());
        life.looks[0].0
    };
    assert_eq!(looked(20 * minute), Duration::ZERO);
    let left = looked(4 * minute);
    assert!(left >= 6 * minute && left <= 7 * minute, "{left:?}");
}

#[test]
fn a_failure_is_tried_later_and_later_and_a_push_begins_anew() {
    let mut life = Life::new();
    life.schedule.wake(&key(0), Cause::Start);
    let fail = |_: &Visit, _| Next::when_changed().failed(later(10));
    life.live(HOUR, MOMENT, fail);
    let times: Vec<Duration> = life.looks.iter().map(|(at, _)| *at).collect();
    let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] >= Duration::from_secs(10) && gaps[0] <= Duration::from_secs(13));
    assert!(gaps[1] >= Duration::from_secs(20) && gaps[2] >= Duration::from_secs(40));
    let longest = Duration::from_secs(361);
    assert!(gaps.iter().all(|gap| *gap <= longest), "{gaps:?}");
    let tries = life.looks.last().unwrap().1.attempts;
    assert_eq!(tries as usize + 1, life.looks.len());
    life.schedule.wake(&key(0), Cause::RefMoved);
    life.live(HOUR + Duration::from_secs(1), MOMENT, fail);
    assert_eq!(life.looks.last().unwrap().1.attempts, 0);
}

#[test]
fn looks_for_something_else_do_not_put_a_try_off() {
    let mut life = Life::new();
    life.schedule.wake(&key(0), Cause::Start);
    life.live(HOUR, MOMENT, |_, _| every(3).failed(later(60)));
    let tries = life.looks.iter();
    let tries = tries
        .filter(|(_, one)| one.causes.has(Cause::RetryDue))
        .count();
    assert!((6..=12).contains(&tries), "{tries}");
    assert!(life.looks.len() > 1000);
}

#[test]
fn a_panic_frees_its_own_key_only() {
    let mut schedule = Schedule::new(ROOM);
    for number in 0..2 {
        schedule.wake(&key(number), Cause::Start);
        schedule.begin(at(0)).unwrap();
    }
    schedule.broke(&key(0), at(1));
    let flies = |number| schedule.entries[&key(number)].flight.is_some();
    assert!(!flies(0) && flies(1));
    assert_eq!(schedule.begin(at(1)), None, "it is not tried at once");
    let again = schedule.begin(at(4)).unwrap();
    assert_eq!((again.key, again.attempts), (key(0), 1));
}

#[test]
fn people_go_first_and_nobody_starves() {
    let mut schedule = Schedule::new(Room {
        all: 1,
        background: 1,
    });
    schedule.wake(&key(100), Cause::DriftDue);
    (0..20).for_each(|number| schedule.wake(&key(number), Cause::RefMoved));
    let mut order = Vec::new();
    while let Some(visit) = schedule.begin(at(0)) {
        schedule.ended(&visit.key, &Next::when_changed(), at(0));
        order.push(visit.key);
    }
    let drift = order.iter().position(|one| *one == key(100)).unwrap();
    assert_eq!(drift, IN_A_ROW as usize);
    assert_eq!(order.len(), 21);
    assert_eq!(
        order[..4],
        [key(0), key(1), key(2), key(3)],
        "in the order they came"
    );
}

#[test]
fn some_room_is_kept_for_people() {
    let mut schedule = Schedule::new(ROOM);
    (0..10).for_each(|number| schedule.wake(&key(number), Cause::DriftDue));
    let begun = std::iter::from_fn(|| schedule.begin(at(0))).count();
    assert_eq!(begun, ROOM.background);
    schedule.wake(&key(50), Cause::RefMoved);
    assert_eq!(schedule.begin(at(0)).unwrap().key, key(50));
}

#[test]
fn it_is_due_at_once_exactly_when_something_may_begin() {
    let mut schedule = Schedule::new(ROOM);
    assert_eq!(schedule.due(at(0)), None);
    for number in 0..ROOM.background {
        schedule.wake(&key(number), Cause::DriftDue);
        assert_eq!(schedule.due(at(0)), Some(Duration::ZERO));
        schedule.begin(at(0)).unwrap();
    }
    schedule.wake(&key(10), Cause::DriftDue);
    assert_eq!(
        schedule.due(at(0)),
        None,
        "the rest of the room is for people"
    );
    schedule.wake(&key(11), Cause::RefMoved);
    assert_eq!(schedule.due(at(0)), Some(Duration::ZERO));
    schedule.begin(at(0)).unwrap();
    schedule.wake(&key(12), Cause::RefMoved);
    assert_eq!(schedule.due(at(0)), None, "there is no room");
}

#[test]
fn many_keys_do_not_come_due_together() {
    let (every, tenth) = (Duration::from_secs(100), Duration::from_secs(10));
    let periods = || (0..50).map(|number| backoff::period(&key(number), every));
    let different: BTreeSet<Duration> = periods().collect();
    assert!(different.len() > 40, "{different:?}");
    assert!(
        different
            .iter()
            .all(|one| (every..every + tenth).contains(one))
    );
    assert!(periods().eq(periods()), "the same for a key every time");
    let waits = (0..50).map(|number| backoff(&format!("e{number}"), every, 1));
    let different: BTreeSet<Duration> = waits.collect();
    assert!(different.len() > 40, "{different:?}");
    assert!(
        different
            .iter()
            .all(|one| (every..every + 2 * tenth).contains(one))
    );
}

#[test]
fn what_an_answer_does_not_name_is_no_longer_due() {
    let mut schedule = Schedule::new(ROOM);
    let soon = When::After(Duration::from_secs(10));
    schedule.set(&key(0), Cause::DriftDue, soon, at(0));
    let then = When::At(at(20).wall);
    schedule.set(&key(0), Cause::RenewalDue, then, at(0));
    schedule.wake(&key(0), Cause::RefMoved);
    schedule.begin(at(0)).unwrap();
    schedule.ended(&key(0), &Next::when_changed(), at(1));
    assert_eq!((schedule.due(at(1)), schedule.begin(at(30))), (None, None));
}

#[test]
fn a_time_of_day_that_comes_early_is_honoured() {
    let mut schedule = Schedule::new(ROOM);
    let then = at(3600).wall;
    schedule.set(&key(0), Cause::RenewalDue, When::At(then), at(0));
    let mut now = at(1);
    assert_eq!(schedule.begin(now), None);
    now.wall = then;
    assert_eq!(schedule.due(now), Some(Duration::ZERO));
    assert_eq!(schedule.begin(now).unwrap().key, key(0));
}

#[test]
fn a_try_of_an_earlier_process_is_waited_for_and_counts() {
    let mut schedule = Schedule::new(ROOM);
    let wait = Duration::from_secs(100);
    let attempt = Attempt { attempts: 5, wait };
    schedule.remember(&key(0), attempt, at(0));
    assert_eq!(schedule.begin(at(99)), None);
    let visit = schedule.begin(at(100)).unwrap();
    assert_eq!(
        (visit.attempts, visit.causes),
        (5, Causes::of(Cause::RetryDue))
    );
    let failed = Next::when_changed().failed(later(2));
    let next = schedule.ended(&key(0), &failed, at(101)).unwrap();
    assert_eq!(next.attempts, 6);
    let least = Duration::from_secs(2 * 32);
    assert!(
        (least..least * 6 / 5).contains(&next.wait),
        "{:?}",
        next.wait
    );
}

#[test]
fn what_is_set_while_a_key_is_in_flight_stays() {
    let mut schedule = Schedule::new(ROOM);
    schedule.wake(&key(0), Cause::Start);
    schedule.begin(at(0)).unwrap();
    let when = When::After(Duration::from_secs(30));
    schedule.set(&key(0), Cause::RenewalDue, when, at(0));
    schedule.ended(&key(0), &Next::when_changed(), at(1));
    assert_eq!(schedule.due(at(1)), Some(Duration::from_secs(29)));
}

/// A clock that jumps, once, while an alarm waits.
fn looks_with_a_jump(years: i64, mut look: impl FnMut(Now) -> Next) -> Vec<Duration> {
    let mut schedule = Schedule::new(ROOM);
    let mut looks = Vec::new();
    schedule.wake(&key(0), Cause::Start);
    let jump = jiff::SignedDuration::from_hours(years * 365 * 24);
    for second in 0..7200 {
        let mut now = at(second);
        if second > 100 {
            now.wall = now.wall.checked_add(jump).unwrap();
        }
        while let Some(visit) = schedule.begin(now) {
            looks.push(now.monotonic);
            schedule.ended(&visit.key, &look(now), now);
        }
    }
    looks
}

#[test]
fn a_clock_that_jumps_neither_locks_out_nor_spins() {
    for years in [-40, -1, 1, 40] {
        // Renewal in ten minutes, again and again.
        let renewal = |now: Now| {
            let then = now.wall.checked_add(Duration::from_secs(600)).unwrap();
            Next::when_changed().and(Cause::RenewalDue, When::At(then))
        };
        let looks = looks_with_a_jump(years, renewal);
        assert!((12..=14).contains(&looks.len()), "{years}: {looks:?}");
        let longest = looks.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(
            longest <= Some(Duration::from_secs(601)),
            "{years}: {looks:?}"
        );
        let looks = looks_with_a_jump(years, |_| every(600));
        assert!((11..=13).contains(&looks.len()), "{years}: {looks:?}");
    }
}

/// Something that happens in a random life.
#[derive(Debug, Clone)]
enum Step {
    Wake(usize, Cause),
    Begin(u64),
    Land(usize, Answer),
    Panic(usize),
    Set(usize, Cause, u64),
    Pass(u64),
    Jump(i64),
}

#[derive(Debug, Clone)]
enum Answer {
    Changed,
    Every(u64),
    At(i64),
    Failed(u64),
    Person,
}

impl Answer {
    fn next(&self, now: Now) -> Next {
        match self {
            Self::Changed => Next::when_changed(),
            Self::Every(seconds) => every(*seconds),
            Self::At(seconds) => {
                let jump = jiff::SignedDuration::from_secs(*seconds);
                let then = now.wall.checked_add(jump).unwrap_or(Timestamp::MAX);
                Next::when_changed().and(Cause::RenewalDue, When::At(then))
            }
            Self::Failed(seconds) => every(300).failed(later(*seconds)),
            Self::Person => Next::when_changed().failed(Retry::NeedsPerson),
        }
    }
}

fn cause() -> impl Strategy<Value = Cause> {
    prop::sample::select(Cause::ALL.to_vec())
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Changed),
        Just(Answer::Person),
        (0u64..1000).prop_map(Answer::Every),
        (-100_000i64..100_000).prop_map(Answer::At),
        (0u64..400).prop_map(Answer::Failed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let years = 50 * 365 * 86_400_i64;
    prop_oneof![
        4 => (0usize..8, cause()).prop_map(|(key, cause)| Step::Wake(key, cause)),
        4 => (0u64..100).prop_map(Step::Begin),
        4 => (0usize..4, answer()).prop_map(|(which, answer)| Step::Land(which, answer)),
        1 => (0usize..4).prop_map(Step::Panic),
        1 => (0usize..8, cause(), 0u64..1000).prop_map(|(key, cause, wait)| Step::Set(key, cause, wait)),
        3 => (0u64..400).prop_map(Step::Pass),
        1 => (-years..years).prop_map(Step::Jump),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Whatever happens: never two looks at one key, no more than there is room for, no cause is
    /// lost, and nothing is looked at for time alone more often than the shortest interval allows.
    #[test]
    fn nothing_is_lost_and_nothing_spins(steps in prop::collection::vec(step(), 1..200)) {
        let mut life = Life::new();
        let mut owed: BTreeMap<Key, Causes> = BTreeMap::new();
        let mut ended: BTreeMap<Key, Duration> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Wake(number, cause) => {
                    life.schedule.wake(&key(number), cause);
                    owed.entry(key(number)).or_default().add(cause);
                }
                Step::Begin(long) => {
                    let before = life.looks.len();
                    life.begin(Duration::from_secs(long));
                    for (at, visit) in &life.looks[before..] {
                        let waited = owed.remove(&visit.key).unwrap_or_default();
                        for cause in waited.iter() {
                            prop_assert!(visit.causes.has(cause), "{cause:?} was lost");
                        }
                        let by_time = waited.is_empty() && !visit.causes.has(Cause::Start);
                        if let Some(end) = ended.get(&visit.key).filter(|_| by_time) {
                            let set = visit.causes.iter().count();
                            prop_assert!(*at >= *end, "{set}");
                        }
                    }
                }
                Step::Land(which, answer) if which < life.flying.len() => {
                    let (_, visit) = life.flying.remove(which);
                    life.schedule.ended(&visit.key, &answer.next(life.now), life.now);
                    ended.insert(visit.key, life.now.monotonic);
                }
                Step::Panic(which) if which < life.flying.len() => {
                    let (_, visit) = life.flying.remove(which);
                    life.schedule.broke(&visit.key, life.now);
                }
                Step::Land(..) | Step::Panic(_) => {}
                Step::Set(number, cause, wait) => {
                    let when = When::After(Duration::from_secs(wait));
                    life.schedule.set(&key(number), cause, when, life.now);
                }
                Step::Pass(seconds) => life.pass(Duration::from_secs(seconds)),
                Step::Jump(seconds) => {
                    let jump = jiff::SignedDuration::from_secs(seconds);
                    life.now.wall = life.now.wall.checked_add(jump).unwrap_or(life.now.wall);
                }
            }
        }
        // When the looks end, what is still owed is looked at, however much else waits.
        let end = life.now.monotonic + Duration::from_secs(1000);
        let before = life.looks.len();
        life.live(end, Duration::from_secs(1), |_, _| Next::when_changed());
        for (key, causes) in owed {
            let looks = life.looks[before..].iter().filter(|(_, one)| one.key == key);
            let served: Causes = looks.flat_map(|(_, one)| one.causes.iter()).collect();
            for cause in causes.iter() {
                prop_assert!(served.has(cause), "{cause:?} of {key:?} was lost");
            }
        }
    }

    /// Every key that always has something to do is looked at about as often as the others.
    #[test]
    fn no_key_starves(keys in 2usize..30, urgent in 0usize..30, long in 1u64..60) {
        let mut life = Life::new();
        (0..keys).for_each(|number| life.schedule.wake(&key(number), Cause::DriftDue));
        for round in 0..keys * 10 {
            for number in keys..keys + urgent {
                life.schedule.wake(&key(number), Cause::RefMoved);
            }
            let end = Duration::from_secs(long * (round as u64 + 1));
            life.live(end, Duration::from_secs(long), |_, _| every(1));
        }
        for number in 0..keys {
            prop_assert!(life.looks_at(&key(number)) >= 2, "{number} of {keys} starved");
        }
    }
}
