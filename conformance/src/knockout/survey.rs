//! Which runs to do, and doing them.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use amt_sim::Rules;
use amt_sim::device::Rule;

use super::book::{Book, Seen, SeenCheck};
use super::{CheckKey, Mutation, Survey};
use crate::fact::Feature;
use crate::requirement::Ledger;
use crate::role::Misbehaviour;
use crate::run::run_all;
use crate::run::{Case, CheckVerdict, Choice, Engine, Plan, PlanError, Run, Subject, Tampering};
use crate::scenario::{Action, Expectation, Library, Role, Scenario, Step, StepKind};

/// One run with one thing wrong; none in an honest one.
#[derive(Debug, Clone)]
pub(super) struct Task<'a> {
    pub(super) case: Case<'a>,
    pub(super) mutation: Option<Mutation>,
}

impl<'a> Task<'a> {
    fn of(case: &Case<'a>, mutation: Mutation) -> Self {
        Self {
            case: case.clone(),
            mutation: Some(mutation),
        }
    }
}

/// How much is found out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Depth {
    /// Whether each thing is noticed at all: a mistake is not made again once a scenario noticed it.
    #[default]
    FirstNotice,
    /// Everybody who notices each thing.
    Everybody,
}

/// Runs that are made one after the other.
struct List<'a> {
    tasks: Vec<Task<'a>>,
    until: Until,
}

impl<'a> List<'a> {
    fn single(task: Task<'a>) -> Self {
        Self {
            tasks: vec![task],
            until: Until::Noticed,
        }
    }
}

/// When enough of a list is played.
enum Until {
    /// A run noticed.
    Noticed,
    /// Each of these checks was red.
    Red(BTreeSet<CheckKey>),
}

/// Plays lists, several at a time, and writes down what is seen.
struct Table<'a, T: FnMut(usize)> {
    ledger: &'a Ledger,
    depth: Depth,
    jobs: NonZeroUsize,
    tick: T,
    book: Book,
}

impl<'a, T: FnMut(usize)> Table<'a, T> {
    fn play(&mut self, lists: &[List<'_>]) {
        let (ledger, depth, book, tick) = (self.ledger, self.depth, &mut self.book, &mut self.tick);
        run_all(
            lists,
            self.jobs,
            |list| play_list(ledger, list, depth),
            |_| (),
            |seen| {
                seen.into_iter().for_each(|seen| book.enter(seen));
                tick(book.runs);
            },
        );
    }

    /// Who passes at all, who notices the rules that it claims, and whether the roles are needed.
    fn begin(&mut self, last: &[&Case<'_>]) {
        let mut lists = Vec::new();
        for case in last {
            let honest = Task {
                case: Case::clone(case),
                mutation: None,
            };
            let wrong = rules(case.scenario).chain(nobody(case.scenario));
            let wrong = wrong.map(|mutation| Task::of(case, mutation));
            lists.extend(std::iter::once(honest).chain(wrong).map(List::single));
        }
        self.play(&lists);
    }

    /// Each mistake wherever it can be made.
    fn make_mistakes(&mut self, last: &[&Case<'_>]) {
        // Those with a check that needs a mistake to turn red are likely to notice it, and must see some anyway.
        let mut last = last.to_vec();
        last.sort_by_key(|case| self.book.blind(&case.scenario.id).is_empty());
        let lists = Misbehaviour::ALL.iter().map(|mistake| {
            let cases = last.iter().filter(|case| concerns(*mistake, case.scenario));
            List {
                tasks: cases
                    .map(|case| Task::of(case, Mutation::Mistake(*mistake)))
                    .collect(),
                until: Until::Noticed,
            }
        });
        let lists: Vec<List<'_>> = lists.collect();
        self.play(&lists);
    }

    /// Who has a check that nothing turned red yet gets to see everything, on these devices.
    fn open_eyes(&mut self, cases: &[&'a [Case<'a>]]) {
        let lists = cases.iter().filter_map(|cases| {
            let scenario = cases.first()?.scenario;
            let blind = self.book.blind(&scenario.id);
            let tasks = cases.iter().flat_map(|case| {
                let mutations = mutations(scenario);
                mutations.map(|mutation| Task::of(case, mutation))
            });
            let unseen = |task: &Task<'_>| !self.book.has(task);
            (!blind.is_empty()).then(|| List {
                tasks: tasks.filter(unseen).collect(),
                until: Until::Red(blind),
            })
        });
        let lists: Vec<List<'_>> = lists.collect();
        self.play(&lists);
    }

    /// What the last device does not show may show on another.
    fn try_others(&mut self, scenario: &Scenario, others: &'a [Case<'a>]) {
        let unnoticed = mutations(scenario).filter(|mutation| match mutation {
            // Whoever claims a rule must notice it.
            Mutation::Rule(_) => !self.book.noticed(*mutation, Some(&scenario.id)),
            Mutation::Mistake(_) => !self.book.noticed(*mutation, None),
            _ => false,
        });
        let lists = unnoticed.map(|mutation| List {
            tasks: others.iter().map(|case| Task::of(case, mutation)).collect(),
            until: Until::Noticed,
        });
        let lists: Vec<List<'_>> = lists.collect();
        self.play(&lists);
    }
}

/// Knocks everything out, once each. `tick` hears how many runs are done.
pub fn survey(
    ledger: &Ledger,
    library: &Library,
    choice: &Choice,
    depth: Depth,
    jobs: NonZeroUsize,
    tick: impl FnMut(usize),
) -> Result<Survey, PlanError> {
    let plan = Plan::new(library, ledger, choice)?;
    // By name the last device is tiger-lake-15 where a story takes it, which has ports with and without TLS and an
    // on-die authority, and shows most; the others follow where it shows nothing.
    let stories: Vec<(&Case<'_>, &[Case<'_>])> = plan
        .cases
        .chunk_by(|a, b| a.scenario.id == b.scenario.id)
        .filter_map(|story| story.split_last())
        .collect();
    let last: Vec<&Case<'_>> = stories.iter().map(|(last, _)| *last).collect();
    let others: Vec<&[Case<'_>]> = stories.iter().map(|(_, others)| *others).collect();
    let alone: Vec<&[Case<'_>]> = last
        .iter()
        .map(|case| std::slice::from_ref(*case))
        .collect();
    let mut table = Table {
        ledger,
        depth,
        jobs,
        tick,
        book: Book::default(),
    };
    table.begin(&last);
    table.make_mistakes(&last);
    table.open_eyes(&alone);
    table.open_eyes(&others);
    for (last, others) in &stories {
        table.try_others(last.scenario, others);
    }
    Ok(table.book.close(ledger, &last))
}

/// What can go wrong in a story: the rules that it claims, the mistakes of those who play a part in it.
fn mutations(scenario: &Scenario) -> impl Iterator<Item = Mutation> + '_ {
    let mistakes = Misbehaviour::ALL
        .iter()
        .filter(|mistake| concerns(**mistake, scenario))
        .map(|mistake| Mutation::Mistake(*mistake));
    rules(scenario).chain(mistakes).chain(nobody(scenario))
}

/// What takes the roles away as a whole. That one dawdles matters where somebody looks at the time.
fn nobody(scenario: &Scenario) -> impl Iterator<Item = Mutation> + use<> {
    let is_timed = |step: &Step| {
        let StepKind::Expect { expectation, .. } = &step.kind else {
            return false;
        };
        matches!(expectation, Expectation::TookAtMost(_))
    };
    let dawdles = scenario.steps.iter().any(is_timed);
    let wrong = [Mutation::DoesNothing, Mutation::SaysFailed, Mutation::Hangs];
    wrong
        .into_iter()
        .chain(dawdles.then_some(Mutation::Dawdles))
}

fn rules(scenario: &Scenario) -> impl Iterator<Item = Mutation> + '_ {
    Rule::ALL
        .iter()
        .filter(|rule| scenario.requirements.iter().any(|id| id == rule.id()))
        .map(|rule| Mutation::Rule(*rule))
}

/// Whether somebody who could make this mistake plays a part: whoever finds out, sets up from the host, or over the
/// network.
pub(super) fn concerns(mistake: Misbehaviour, scenario: &Scenario) -> bool {
    let secure = scenario.needs.contains(&Feature::SecureSetup);
    if secure || mistake.is_of_secure_flow() {
        return secure && mistake.is_of_secure_flow();
    }
    scenario.steps.iter().any(|step| {
        let StepKind::Do { action, .. } = &step.kind else {
            return false;
        };
        let finds_out = matches!(action, Action::AgentDiscover | Action::ConsoleAsk);
        let on_the_host = [Role::Application, Role::Server, Role::Checker, Role::Rogue];
        let sets_up = action.roles().iter().any(|role| on_the_host.contains(role));
        match (mistake.is_of_set_up(), mistake.is_of_the_network()) {
            (true, _) => sets_up,
            (_, true) => !sets_up && !finds_out,
            _ => finds_out,
        }
    })
}

fn play_list(ledger: &Ledger, list: &List<'_>, depth: Depth) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for task in &list.tasks {
        let seen = play_one(ledger, task);
        all.push(seen);
        let enough = match &list.until {
            Until::Noticed => all.last().is_some_and(Seen::noticed),
            Until::Red(keys) => {
                let red = |key: &CheckKey| all.iter().any(|seen| seen.is_red(key));
                keys.iter().all(red)
            }
        };
        if enough && depth == Depth::FirstNotice {
            break;
        }
    }
    all
}

fn play_one(ledger: &Ledger, task: &Task<'_>) -> Seen {
    let mut rules = Rules::default();
    let mut misbehaviour = None;
    let mut tampering = Tampering::None;
    match task.mutation {
        None => {}
        // The ID is one of `Rule::ALL`.
        Some(Mutation::Rule(rule)) => drop(rules.knock_out(rule.id())),
        Some(Mutation::Mistake(mistake)) => misbehaviour = Some(mistake),
        Some(Mutation::DoesNothing) => tampering = Tampering::DoesNothing,
        Some(Mutation::SaysFailed) => tampering = Tampering::SaysFailed,
        Some(Mutation::Hangs) => tampering = Tampering::Hangs,
        Some(Mutation::Dawdles) => tampering = Tampering::Dawdles,
    }
    let engine = Engine {
        ledger,
        subject: Subject::Reference,
        misbehaviour,
        rules,
    };
    let run: Run = engine.run_tampered(&task.case, tampering);
    let checks = run.checks.iter().map(|check| SeenCheck {
        key: CheckKey {
            scenario: run.scenario.clone(),
            line: check.place.line,
            about: check.about.clone(),
        },
        requirement: check.requirement.clone(),
        question: question(task.case.scenario, check.place.line),
        red: check.verdict == CheckVerdict::Fail,
    });
    Seen {
        mutation: task.mutation,
        verdict: run.verdict,
        checks: checks.collect(),
        scenario: run.scenario,
        run: run.id,
    }
}

/// An action without an expectation about its end must be done: that check has the line of the `do`.
fn question(scenario: &Scenario, line: usize) -> &'static str {
    let step = scenario.steps.iter().find(|step| step.line == line);
    match step.map(|step| &step.kind) {
        Some(StepKind::Expect { expectation, .. }) => expectation.question(),
        Some(StepKind::Probe { .. }) => "probe",
        _ => "outcome of an action",
    }
}
