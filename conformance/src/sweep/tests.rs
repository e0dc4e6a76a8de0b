use rstest::rstest;

use super::*;
use crate::run::{Choice, Plan};
use crate::scenario::Library;

/// The bundled scenarios, and one run of them.
struct Shelf {
    ledger: Ledger,
    library: Library,
}

impl Shelf {
    fn new() -> Self {
        let ledger = Ledger::builtin().unwrap();
        let library = Library::builtin(&ledger).unwrap();
        Self { ledger, library }
    }

    fn case(&self, run: &str) -> Case<'_> {
        let (scenario, profile) = run.split_once('@').unwrap();
        let choice = Choice {
            filter: Some(scenario.to_owned()),
            profile: Some(profile.to_owned()),
            ..Choice::default()
        };
        let plan = Plan::new(&self.library, &self.ledger, &choice).unwrap();
        plan.cases[0].clone()
    }
}

fn scope(misbehaviour: Option<Misbehaviour>, layers: &[Layer]) -> Scope {
    Scope {
        layers: layers.to_vec(),
        limit: 60,
        several: 10,
        misbehaviour,
        jobs: NonZeroUsize::MIN,
    }
}

fn swept(run: &str, misbehaviour: Option<Misbehaviour>) -> (Sweep, Vec<String>) {
    swept_at(run, misbehaviour, &[])
}

fn swept_at(
    run: &str,
    misbehaviour: Option<Misbehaviour>,
    layers: &[Layer],
) -> (Sweep, Vec<String>) {
    let shelf = Shelf::new();
    let (ledger, case) = (&shelf.ledger, shelf.case(run));
    let sweep = sweep(ledger, &case, &scope(misbehaviour, layers), |_, _| ()).unwrap();
    let file = fixtures::SCENARIOS
        .iter()
        .find(|file| file.path == case.scenario.file)
        .unwrap();
    let texts = sweep.findings.iter().map(|finding| {
        let (id, text) = scenario_text(
            case.scenario,
            file.text,
            &case.profile.name,
            &finding.schedule,
            &finding.wrong,
            ledger,
        )
        .unwrap();
        let again = crate::scenario::parse("found.toml", &text, ledger);
        let again = again.unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
        assert_eq!(again.id, id);
        // The file fails as it should: it shows what was found.
        let engine = Engine {
            ledger,
            subject: Subject::Reference,
            misbehaviour,
            rules: Rules::default(),
        };
        let run = engine.run(&Case {
            scenario: &again,
            profile: case.profile.clone(),
            seed: case.seed,
        });
        assert!(
            matches!(run.verdict, Verdict::Fail | Verdict::Warn),
            "{text}\n{:#?}",
            run.checks
        );
        text
    });
    let texts = texts.collect();
    (sweep, texts)
}

#[test]
fn an_honest_agent_survives() {
    let (sweep, _) = swept("discovery.version@tiger-lake-15", None);
    assert!(sweep.tried.len() > 20, "{sweep:#?}");
    assert_eq!(sweep.count(Fate::Wrong), 0, "{sweep:#?}");
    assert!(sweep.findings.is_empty(), "{:#?}", sweep.findings);
}

#[test]
fn an_agent_that_waits_for_ever_is_found_and_told_by_one_fault() {
    let mistake = Some(Misbehaviour::EndlessWait);
    let (sweep, _) = swept("discovery.version@tiger-lake-15", mistake);
    let hang = sweep
        .findings
        .iter()
        .find(|finding| matches!(finding.wrong, Wrong::Hangs { .. }))
        .unwrap();
    assert_eq!(hang.schedule.len(), 1, "{hang:#?}");
}

#[test]
fn an_agent_that_ignores_status_is_found() {
    let mistake = Some(Misbehaviour::IgnoreStatus);
    let (sweep, _) = swept("discovery.version@tiger-lake-15", mistake);
    assert!(!sweep.findings.is_empty());
}

#[test]
fn the_same_seed_tries_the_same() {
    let (one, _) = swept("discovery.uuid@tiger-lake-15", Some(Misbehaviour::ZeroFill));
    let (other, _) = swept("discovery.uuid@tiger-lake-15", Some(Misbehaviour::ZeroFill));
    assert_eq!(one.points, other.points);
    let told = |sweep: &Sweep| format!("{:?}", sweep.findings);
    assert_eq!(told(&one), told(&other));
}

const SIGNED: &str = "setup.signed@tiger-lake-15,through-lme";
const LOCAL_TLS: &str = "setup.client-over-tls@lunar-lake-20,through-local-port";
const NETWORK: &str = "flow.legacy@alder-lake-16,tls-1.2,root-sha256";
const THROUGH_THE_HOST: &str = "secure.whole@tiger-lake-15,tls-1.3,hash-sha256";

/// Each layer that a run goes through has points, and faults that strike there.
#[rstest]
#[case(NETWORK, &[Layer::Errno, Layer::Message, Layer::Apf, Layer::Tls, Layer::Http, Layer::ReturnValue, Layer::Hello, Layer::State, Layer::Power])]
#[case(THROUGH_THE_HOST, &[Layer::Certificate, Layer::Tls, Layer::Power])]
#[case(LOCAL_TLS, &[Layer::Certificate, Layer::Tls, Layer::Http, Layer::Power])]
fn every_layer_is_spoilt_and_honest_roles_survive(#[case] run: &str, #[case] layers: &[Layer]) {
    let shelf = Shelf::new();
    let case = shelf.case(run);
    for layer in layers {
        let scope = Scope {
            limit: 6,
            several: 0,
            ..scope(None, &[*layer])
        };
        let sweep = sweep(&shelf.ledger, &case, &scope, |_, _| ()).unwrap();
        assert_eq!(sweep.count(Fate::Missed), 0, "{layer}: {sweep:#?}");
        assert!(sweep.findings.is_empty(), "{layer}: {:#?}", sweep.findings);
    }
}

/// Who makes a mistake is found by a fault of the layer that the mistake is about, and by one fault alone.
#[rstest]
#[case(NETWORK, Misbehaviour::ScaEndlessWait, Layer::Tls, "hangs")]
#[case(
    SIGNED,
    Misbehaviour::IgnoresReturnValue,
    Layer::ReturnValue,
    "says that it is done"
)]
#[case(
    SIGNED,
    Misbehaviour::TakesLossForFailure,
    Layer::Http,
    "says that it failed, but the device is Client"
)]
#[case(
    NETWORK,
    Misbehaviour::AgentGivesUpOnLostAnswer,
    Layer::Message,
    "says that it failed, but the device is SetupOutOfBand"
)]
#[case(SIGNED, Misbehaviour::NoInterruptRetry, Layer::Errno, "gives up")]
#[case(
    THROUGH_THE_HOST,
    Misbehaviour::AgentChecksModeOnly,
    Layer::State,
    "tells a `secure.conclusion` that is not so"
)]
#[case(
    THROUGH_THE_HOST,
    Misbehaviour::AgentTakesLossForSuccess,
    Layer::Power,
    "tells a `secure.conclusion` that is not so"
)]
#[case(
    THROUGH_THE_HOST,
    Misbehaviour::ScaTrustsHashAlone,
    Layer::Certificate,
    "showed a wrong chain"
)]
fn a_mistake_is_found_in_its_layer(
    #[case] run: &str,
    #[case] mistake: Misbehaviour,
    #[case] layer: Layer,
    #[case] told: &str,
) {
    let (sweep, _) = swept_at(run, Some(mistake), &[layer]);
    let finding = sweep
        .findings
        .iter()
        .find(|finding| finding.wrong.to_string().contains(told));
    let finding = finding.unwrap_or_else(|| panic!("{sweep:#?}"));
    assert_eq!(finding.schedule.len(), 1, "{finding:#?}");
}
