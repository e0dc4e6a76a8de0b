//! Which runs to do, doing them, and who noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use amt_sim::Rules;
use amt_sim::device::Rule;

use super::{CheckKey, CheckRow, Fate, Mutation, Row, Survey};
use crate::fact::Feature;
use crate::requirement::Ledger;
use crate::role::Misbehaviour;
use crate::run::{Case, CheckVerdict, Choice, Engine, Plan, PlanError, Run, Subject, Tampering};
use crate::run::{Verdict, run_all};
use crate::scenario::{Action, Library, Role, Scenario, StepKind};

/// One run with one thing wrong; none in an honest one.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    pub case: Case<'a>,
    pub mutation: Option<Mutation>,
}

/// What is kept of a run.
struct Seen {
    mutation: Option<Mutation>,
    scenario: String,
    run: String,
    verdict: Verdict,
    checks: Vec<(CheckKey, String, bool)>,
}

impl Seen {
    fn noticed(&self) -> bool {
        matches!(self.verdict, Verdict::Fail | Verdict::Warn)
    }
}

/// Knocks everything out, once each. `tick` hears how many runs are done of how many that are known of.
pub fn survey(
    ledger: &Ledger,
    library: &Library,
    choice: &Choice,
    jobs: NonZeroUsize,
    mut tick: impl FnMut(usize, usize),
) -> Result<Survey, PlanError> {
    let plan = Plan::new(library, ledger, choice)?;
    let stories: Vec<&[Case<'_>]> = plan
        .cases
        .chunk_by(|a, b| a.scenario.id == b.scenario.id)
        .collect();
    let mut book = Book::default();
    let mut play = |tasks: &[Task<'_>], book: &mut Book| {
        let before = book.runs;
        run_all(
            tasks,
            jobs,
            |task| play_one(ledger, task),
            |done| tick(before + done, before + tasks.len()),
            |seen| book.enter(seen),
        );
    };

    // The newest device shows most; the others follow where it shows nothing.
    let newest: Vec<Case<'_>> = stories.iter().filter_map(|s| s.last().cloned()).collect();
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for case in &newest {
        tasks.push(Task {
            case: case.clone(),
            mutation: None,
        });
        tasks.extend(mutations(case.scenario).map(|mutation| Task {
            case: case.clone(),
            mutation: Some(mutation),
        }));
    }
    play(&tasks, &mut book);

    let mut tasks = Vec::new();
    for story in &stories {
        let Some((newest, others)) = story.split_last() else {
            continue;
        };
        let scenario = newest.scenario;
        let blind = book.has_blind_check(&scenario.id);
        for mutation in mutations(scenario) {
            let unnoticed = match mutation {
                // Whoever claims a rule must notice it.
                Mutation::Rule(_) => !book.noticed(mutation, Some(&scenario.id)),
                Mutation::Mistake(_) => !book.noticed(mutation, None),
                _ => false,
            };
            if unnoticed || blind {
                tasks.extend(others.iter().map(|case| Task {
                    case: case.clone(),
                    mutation: Some(mutation),
                }));
            }
        }
    }
    play(&tasks, &mut book);
    Ok(book.close(ledger, library, &newest))
}

/// What can go wrong in a story: the rules that it claims, the mistakes of those who play a part in it.
fn mutations(scenario: &Scenario) -> impl Iterator<Item = Mutation> + '_ {
    let rules = Rule::ALL
        .iter()
        .filter(|rule| scenario.requirements.iter().any(|id| id == rule.id()))
        .map(|rule| Mutation::Rule(*rule));
    let mistakes = Misbehaviour::ALL
        .iter()
        .filter(|mistake| concerns(**mistake, scenario))
        .map(|mistake| Mutation::Mistake(*mistake));
    rules
        .chain(mistakes)
        .chain([Mutation::DoesNothing, Mutation::SaysFailed, Mutation::Hangs])
}

/// Whether somebody who could make this mistake plays a part: whoever finds out, sets up from the host, or over the
/// network.
fn concerns(mistake: Misbehaviour, scenario: &Scenario) -> bool {
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
    }
    let engine = Engine {
        ledger,
        subject: Subject::Reference,
        misbehaviour,
        rules,
    };
    let run: Run = engine.run_tampered(&task.case, tampering);
    let checks = run.checks.iter().map(|check| {
        let key = CheckKey {
            scenario: run.scenario.clone(),
            line: check.place.line,
            about: check.about.clone(),
        };
        let red = check.verdict == CheckVerdict::Fail;
        (key, check.requirement.clone(), red)
    });
    Seen {
        mutation: task.mutation,
        verdict: run.verdict,
        checks: checks.collect(),
        scenario: run.scenario,
        run: run.id,
    }
}

/// Who noticed what so far.
#[derive(Default)]
struct Book {
    runs: usize,
    /// For each mutation, the scenarios that noticed, and where first.
    noticed: BTreeMap<Mutation, BTreeMap<String, String>>,
    checks: BTreeMap<CheckKey, (String, BTreeSet<Mutation>)>,
    broken: Vec<String>,
}

impl Book {
    fn enter(&mut self, seen: Seen) {
        self.runs += 1;
        let Some(mutation) = seen.mutation else {
            if seen.verdict != Verdict::Pass {
                self.broken.push(format!("{}: {}", seen.run, seen.verdict));
            }
            for (key, requirement, _) in seen.checks {
                self.checks
                    .entry(key)
                    .or_insert_with(|| (requirement, BTreeSet::new()));
            }
            return;
        };
        if seen.noticed() {
            let by = self.noticed.entry(mutation).or_default();
            by.entry(seen.scenario.clone()).or_insert(seen.run);
        }
        for (key, _, red) in seen.checks {
            if red && let Some((_, by)) = self.checks.get_mut(&key) {
                by.insert(mutation);
            }
        }
    }

    fn noticed(&self, mutation: Mutation, scenario: Option<&str>) -> bool {
        let by = self.noticed.get(&mutation);
        by.is_some_and(|by| scenario.is_none_or(|scenario| by.contains_key(scenario)))
    }

    fn has_blind_check(&self, scenario: &str) -> bool {
        self.checks
            .iter()
            .any(|(key, (_, by))| key.scenario == scenario && by.is_empty())
    }

    fn close(self, ledger: &Ledger, library: &Library, played: &[Case<'_>]) -> Survey {
        let claims = |id: &str| -> Vec<&str> {
            let played = played.iter().map(|case| case.scenario);
            played
                .filter(|scenario| scenario.requirements.iter().any(|claim| claim == id))
                .map(|scenario| scenario.id.as_str())
                .collect()
        };
        let rules = Rule::ALL.iter().map(|rule| {
            let mut row = self.row(Mutation::Rule(*rule), &claims(rule.id()));
            let requirement = ledger.get(rule.id());
            row.unit_tests = requirement.map_or_else(Vec::new, |entry| entry.proved_by.clone());
            if row.fate == Fate::Dead && !row.unit_tests.is_empty() {
                row.fate = Fate::NotRun;
            }
            row
        });
        let mistakes = Misbehaviour::ALL.iter().map(|mistake| {
            let mut row = self.row(Mutation::Mistake(*mistake), &[]);
            let somebody = played.iter().any(|case| concerns(*mistake, case.scenario));
            if row.fate == Fate::Dead && somebody {
                row.fate = Fate::Silent;
            }
            row
        });
        let (rules, mistakes) = (rules.collect(), mistakes.collect());
        let checks = self.checks.into_iter().map(|(key, (requirement, by))| {
            let (specific, general): (Vec<Mutation>, Vec<Mutation>) =
                by.iter().partition(|mutation| mutation.is_specific());
            CheckRow {
                question: question(library, &key),
                requirement,
                turned_red_by: specific.iter().map(ToString::to_string).collect(),
                needs_somebody: !general.is_empty(),
                key,
            }
        });
        Survey {
            runs: self.runs,
            rules,
            mistakes,
            checks: checks.collect(),
            broken: self.broken,
        }
    }

    fn row(&self, mutation: Mutation, claimed_by: &[&str]) -> Row {
        let empty = BTreeMap::new();
        let by = self.noticed.get(&mutation).unwrap_or(&empty);
        let silent: Vec<String> = claimed_by
            .iter()
            .filter(|scenario| !by.contains_key(**scenario))
            .map(|scenario| (*scenario).to_owned())
            .collect();
        let fate = match (by.is_empty(), claimed_by.is_empty()) {
            (false, _) => Fate::Killed,
            (true, false) => Fate::Silent,
            (true, true) => Fate::Dead,
        };
        Row {
            name: mutation.to_string(),
            fate,
            noticed_by: by.values().cloned().collect(),
            silent,
            unit_tests: Vec::new(),
            trouble: None,
        }
    }
}

/// An action without an expectation about its end must be done: that check has the line of the `do`.
fn question(library: &Library, key: &CheckKey) -> &'static str {
    let step = library
        .get(&key.scenario)
        .and_then(|scenario| scenario.steps.iter().find(|step| step.line == key.line));
    match step.map(|step| &step.kind) {
        Some(StepKind::Expect { expectation, .. }) => expectation.question(),
        _ => "outcome of an action",
    }
}
