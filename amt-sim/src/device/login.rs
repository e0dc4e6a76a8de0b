//! Who can log in from which side: the accounts behind HTTP digest.

use super::account::{Interface, Principal};
use super::credential::digest_a1;
use super::firmware::Firmware;
use super::rule::Rule;

/// What a login is checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    /// HTTP digest A1, 32 lower-case hex digits.
    pub(crate) ha1: String,
    pub(crate) principal: Principal,
}

/// The account that a name means on this side of the device; `None` when nobody can log in by that name there.
///
/// `admin` has no password that opens this door while the factory password stands.
pub(crate) fn credential_of(fw: &Firmware, user: &str, from: Interface) -> Option<Credential> {
    let local = &fw.local_account;
    if user == local.user {
        let allowed = from == Interface::Local || !fw.enforced(Rule::LOGIN_OS_ADMIN_LOCAL);
        return allowed.then(|| Credential {
            ha1: digest_a1(user, &fw.identity.digest_realm, &local.password),
            principal: Principal::OsAdmin,
        });
    }
    if user == fw.state.admin_name {
        return Some(Credential {
            ha1: fw.state.admin_ha1.clone()?,
            principal: Principal::Admin,
        });
    }
    let account = fw
        .state
        .accounts
        .iter()
        .find(|account| account.user == user)?;
    let allowed = (account.enabled || !fw.enforced(Rule::LOGIN_ENABLED))
        && (account.access.allows(from) || !fw.enforced(Rule::LOGIN_ACCESS_PERMISSION));
    allowed.then(|| Credential {
        ha1: account.ha1.clone(),
        principal: Principal::Account {
            handle: account.handle,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{AccessPermission, Account, Mode};
    use crate::http::testing::{firmware, with_rules, without};
    use rstest::rstest;

    fn account(user: &str, access: AccessPermission, enabled: bool) -> Account {
        Account {
            handle: 7,
            user: user.to_owned(),
            ha1: "0".repeat(32),
            access,
            realms: Vec::new(),
            enabled,
        }
    }

    fn furnished(mut fw: Firmware) -> Firmware {
        fw.state.admin_ha1 = Some("a".repeat(32));
        fw.state.accounts = vec![
            account("any", AccessPermission::Any, true),
            account("lan", AccessPermission::NetworkOnly, true),
            account("host", AccessPermission::LocalOnly, true),
            account("off", AccessPermission::Any, false),
        ];
        fw
    }

    #[rstest]
    #[case("admin", true, true)]
    #[case("$$OsAdmin", true, false)]
    #[case("any", true, true)]
    #[case("lan", false, true)]
    #[case("host", true, false)]
    #[case("off", false, false)]
    #[case("nobody", false, false)]
    #[case("", false, false)]
    #[case("Admin", false, false)]
    fn from_the_host_and_from_the_lan(#[case] user: &str, #[case] host: bool, #[case] lan: bool) {
        let fw = furnished(firmware(Mode::Admin));
        let known = |from| credential_of(&fw, user, from).is_some();
        assert_eq!(
            (known(Interface::Local), known(Interface::Network)),
            (host, lan)
        );
    }

    #[test]
    fn the_factory_password_opens_nothing() {
        let fw = firmware(Mode::PreProvisioning);
        assert_eq!(credential_of(&fw, "admin", Interface::Local), None);
        let os_admin = credential_of(&fw, "$$OsAdmin", Interface::Local).unwrap();
        assert_eq!(os_admin.principal, Principal::OsAdmin);
    }

    #[test]
    fn an_administrator_of_another_name() {
        let mut fw = furnished(firmware(Mode::Admin));
        fw.state.admin_name = "root".to_owned();
        assert_eq!(credential_of(&fw, "admin", Interface::Network), None);
        let root = credential_of(&fw, "root", Interface::Network).unwrap();
        assert_eq!(root.principal, Principal::Admin);
    }

    #[rstest]
    #[case("device.login.os-admin-local", "$$OsAdmin")]
    #[case("device.login.access-permission", "host")]
    #[case("device.login.enabled", "off")]
    fn knocked_out(#[case] rule: &str, #[case] user: &str) {
        let fw = furnished(with_rules(Mode::Admin, without(rule)));
        assert!(credential_of(&fw, user, Interface::Network).is_some());
    }
}
