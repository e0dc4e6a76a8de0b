use rstest::rstest;

use super::{Bench, e};
use crate::device::{AccessPermission, Principal, Realm};

const SERVICE: &str = "AMT_AuthorizationService";
/// Base64 of sixteen octets of 0x11.
const OCTETS: &str = "EREREREREREREREREREREQ==";

fn user(name: &str, realms: &[&str]) -> String {
    let realms: String = realms.iter().map(|realm| e("Realms", realm)).collect();
    e("DigestUsername", name) + &e("DigestPassword", OCTETS) + &e("AccessPermission", "2") + &realms
}

#[test]
fn the_administrator_gets_another_name_and_password() {
    let mut bench = Bench::admin();
    let input = e("Username", "root") + &e("DigestPassword", OCTETS);
    assert_eq!(bench.call(SERVICE, "SetAdminAclEntryEx", &input).value(), 0);
    assert_eq!(bench.fw.state.admin_ha1, Some("11".repeat(16)));
    let answer = bench.call(SERVICE, "GetAdminAclEntry", "");
    assert_eq!(answer.text("Username"), Some("root"));
    let answer = bench.call(SERVICE, "GetAdminAclEntryStatus", "");
    assert_eq!(answer.text("IsDefault"), Some("false"));
    let mut bench = bench.power_cycle();
    assert_eq!(bench.fw.state.admin_name, "root");
    bench.unprovision();
    assert_eq!(bench.fw.state.admin_name, "admin");
    assert_eq!(bench.fw.state.admin_ha1, None);
}

#[rstest]
#[case::hex_digits("11111111111111111111111111111111", 36)]
#[case::short("ERERERE=", 36)]
#[case::no_base64("?", 36)]
#[case::empty("", 36)]
fn a_password_is_sixteen_octets(#[case] password: &str, #[case] expected: u32) {
    let mut bench = Bench::admin();
    let input = e("Username", "admin") + &e("DigestPassword", password);
    let answer = bench.call(SERVICE, "SetAdminAclEntryEx", &input);
    assert_eq!(answer.value(), expected);
    assert_eq!(bench.fw.state.admin_ha1, Some("00".repeat(16)));
}

#[test]
fn hex_digits_are_a_finding_and_taken_without_the_rule() {
    let digits = "22".repeat(16);
    let input = e("Username", "admin") + &e("DigestPassword", &digits);
    let mut bench = Bench::admin();
    bench.call(SERVICE, "SetAdminAclEntryEx", &input);
    assert!(bench.found("DigestPassword"));
    let rule = "device.wsman.digest-password-octets";
    let mut bench = Bench::of("tiger-lake-15", crate::device::Mode::Admin, &[rule]);
    let answer = bench.call(SERVICE, "SetAdminAclEntryEx", &input);
    assert_eq!(answer.value(), 0);
    assert_eq!(bench.fw.state.admin_ha1, Some(digits));
}

#[rstest]
#[case("", 12)]
#[case("$$OsAdmin", 12)]
#[case("a name with blanks", 12)]
#[case("a-name-that-is-too-long", 12)]
fn names(#[case] name: &str, #[case] expected: u32) {
    let mut bench = Bench::admin();
    let input = e("Username", name) + &e("DigestPassword", OCTETS);
    let answer = bench.call(SERVICE, "SetAdminAclEntryEx", &input);
    assert_eq!(answer.value(), expected);
}

#[test]
fn accounts_come_and_go() {
    let mut bench = Bench::admin();
    let answer = bench.call(SERVICE, "AddUserAclEntryEx", &user("ann", &["2", "5"]));
    assert_eq!((answer.value(), answer.text("Handle")), (0, Some("1")));
    let answer = bench.call(SERVICE, "AddUserAclEntryEx", &user("bob", &["3"]));
    assert_eq!(answer.text("Handle"), Some("2"));
    let account = &bench.fw.state.accounts[0];
    assert_eq!(account.realms, [Realm::REDIRECTION, Realm::REMOTE_CONTROL]);
    assert_eq!(account.access, AccessPermission::Any);

    let answer = bench.call(SERVICE, "EnumerateUserAclEntries", &e("StartIndex", "1"));
    assert_eq!(answer.text("TotalCount"), Some("2"));
    assert_eq!(answer.texts("Handles"), ["1", "2"]);

    let answer = bench.call(SERVICE, "GetUserAclEntryEx", &e("Handle", "1"));
    assert_eq!(answer.text("DigestUsername"), Some("ann"));
    assert_eq!(answer.texts("Realms"), ["2", "5"]);

    let update = e("Handle", "1") + &e("AccessPermission", "1") + &e("Realms", "4");
    assert_eq!(
        bench.call(SERVICE, "UpdateUserAclEntryEx", &update).value(),
        0
    );
    let account = &bench.fw.state.accounts[0];
    assert_eq!(account.user, "ann");
    assert_eq!(account.ha1, "11".repeat(16));
    assert_eq!(account.access, AccessPermission::NetworkOnly);

    let off = e("Handle", "1") + &e("Enabled", "false");
    assert_eq!(bench.call(SERVICE, "SetAclEnabledState", &off).value(), 0);
    let mut bench = bench.power_cycle();
    let answer = bench.call(SERVICE, "GetAclEnabledState", &e("Handle", "1"));
    assert_eq!(answer.text("Enabled"), Some("false"));

    let answer = bench.call(SERVICE, "RemoveUserAclEntry", &e("Handle", "1"));
    assert_eq!(answer.value(), 0);
    let answer = bench.call(SERVICE, "GetUserAclEntryEx", &e("Handle", "1"));
    assert_eq!(answer.value(), 2053);
    bench.unprovision();
    assert!(bench.fw.state.accounts.is_empty());
}

#[test]
fn realms_may_be_wrapped_as_one_library_does() {
    let mut bench = Bench::admin();
    let input = user("ann", &[])
        + "<h:Realms><h:RealmValue>2</h:RealmValue><h:RealmValue>4</h:RealmValue></h:Realms>";
    let answer = bench.call(SERVICE, "AddUserAclEntryEx", &input);
    assert_eq!(answer.value(), 0);
    assert_eq!(bench.fw.state.accounts[0].realms.len(), 2);
}

#[rstest]
#[case::twice(user("ann", &["2"]), 2058)]
#[case::the_administrators(user("admin", &["2"]), 2058)]
#[case::no_realm(user("bob", &[]), 2055)]
#[case::unknown_realm(user("bob", &["99"]), 2055)]
#[case::no_name(user("", &["2"]), 36)]
#[case::kerberos(e("KerberosUserSid", "AQUAAA==") + &e("AccessPermission", "2"), 2066)]
fn refused_accounts(#[case] input: String, #[case] expected: u32) {
    let mut bench = Bench::admin();
    bench.call(SERVICE, "AddUserAclEntryEx", &user("ann", &["2"]));
    let answer = bench.call(SERVICE, "AddUserAclEntryEx", &input);
    assert_eq!(answer.value(), expected);
}

#[test]
fn the_list_is_full_at_fifteen() {
    let mut bench = Bench::admin();
    for number in 0..15 {
        let name = format!("user{number}");
        let answer = bench.call(SERVICE, "AddUserAclEntryEx", &user(&name, &["2"]));
        assert_eq!(answer.value(), 0);
    }
    let answer = bench.call(SERVICE, "AddUserAclEntryEx", &user("last", &["2"]));
    assert_eq!(answer.value(), 23);
}

#[test]
fn the_systems_own_account_may_not() {
    let mut bench = Bench::admin();
    bench.caller.principal = Principal::OsAdmin;
    let input = e("Username", "root") + &e("DigestPassword", OCTETS);
    let answer = bench.call(SERVICE, "SetAdminAclEntryEx", &input);
    assert_eq!(answer.fault, "not authorized");
}

#[test]
fn an_account_sees_itself_and_no_other() {
    let mut bench = Bench::admin();
    bench.call(SERVICE, "AddUserAclEntryEx", &user("ann", &["2"]));
    bench.call(SERVICE, "AddUserAclEntryEx", &user("bob", &["21"]));
    bench.caller.principal = Principal::Account { handle: 1 };
    let values = ["1", "2"].map(|handle| {
        let answer = bench.call(SERVICE, "GetUserAclEntryEx", &e("Handle", handle));
        answer.value()
    });
    assert_eq!(values, [0, 16]);
    bench.caller.principal = Principal::Account { handle: 2 };
    let answer = bench.call(SERVICE, "GetUserAclEntryEx", &e("Handle", "1"));
    assert_eq!(answer.value(), 0);
}
