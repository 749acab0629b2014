//! What `sshd -T` prints, and what we would.

use std::collections::BTreeMap;

use rescind_agent::sshd::effective::{Effective, List, Text};
use rescind_agent::sshd::release::Release;

type Printed = BTreeMap<&'static str, Vec<String>>;

/// The settings on which the two disagree.
pub fn differences(ours: &Effective, theirs: &str, release: &Release) -> Vec<String> {
    let mut printed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for line in theirs.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        printed.entry(keyword).or_default().push(value.to_owned());
    }
    let none = Vec::new();
    print(ours, release)
        .iter()
        .filter_map(|(keyword, value)| {
            let theirs = printed.get(keyword).unwrap_or(&none);
            (theirs != value).then(|| format!("{keyword}: we say {value:?}, sshd says {theirs:?}"))
        })
        .collect()
}

fn print(ours: &Effective, release: &Release) -> Printed {
    let mut printed = Printed::new();
    let mut flag = |keyword, value: bool| {
        printed.insert(keyword, vec![if value { "yes" } else { "no" }.to_owned()]);
    };
    flag("usepam", ours.use_pam.value);
    flag("strictmodes", ours.strict_modes.value);
    flag("pubkeyauthentication", ours.pubkey_authentication.value);
    flag("passwordauthentication", ours.password_authentication.value);
    flag(
        "kbdinteractiveauthentication",
        ours.kbd_interactive_authentication.value,
    );
    flag("permitemptypasswords", ours.permit_empty_passwords.value);
    flag(
        "hostbasedauthentication",
        ours.hostbased_authentication.value,
    );
    flag("gssapiauthentication", ours.gssapi_authentication.value);
    flag("permituserrc", ours.permit_user_rc.value);
    if !release.at_least(8, 7) {
        flag(
            "challengeresponseauthentication",
            ours.challenge_response_authentication.value,
        );
    }
    if release.at_least(9, 9) {
        flag("refuseconnection", ours.refuse_connection.value);
    }
    if release.at_least(9, 8) {
        let name = match text(&ours.pam_service_name) {
            name if name == "none" => "sshd".to_owned(),
            name => name,
        };
        printed.insert("pamservicename", vec![name]);
    }
    printed.insert(
        "permitrootlogin",
        vec![ours.permit_root_login.value.word().to_owned()],
    );
    if release.at_least(9, 1) {
        printed.insert(
            "requiredrsasize",
            vec![ours.required_rsa_size.value.to_string()],
        );
    }
    let algorithms = if release.at_least(8, 5) {
        "pubkeyacceptedalgorithms"
    } else {
        "pubkeyacceptedkeytypes"
    };
    printed.insert(
        algorithms,
        vec![ours.pubkey_accepted_algorithms.value.join(",")],
    );
    printed.insert(
        "casignaturealgorithms",
        vec![ours.ca_signature_algorithms.value.join(",")],
    );
    for (keyword, value) in [
        ("authorizedkeyscommand", &ours.authorized_keys_command),
        (
            "authorizedkeyscommanduser",
            &ours.authorized_keys_command_user,
        ),
        ("authorizedprincipalsfile", &ours.authorized_principals_file),
        (
            "authorizedprincipalscommand",
            &ours.authorized_principals_command,
        ),
        (
            "authorizedprincipalscommanduser",
            &ours.authorized_principals_command_user,
        ),
        ("trustedusercakeys", &ours.trusted_user_ca_keys),
        ("revokedkeys", &ours.revoked_keys),
        ("chrootdirectory", &ours.chroot_directory),
        ("forcecommand", &ours.force_command),
    ] {
        printed.insert(keyword, vec![text(value)]);
    }
    for (keyword, list) in [
        ("allowusers", &ours.allow_users),
        ("denyusers", &ours.deny_users),
        ("allowgroups", &ours.allow_groups),
        ("denygroups", &ours.deny_groups),
    ] {
        printed.insert(keyword, words(list));
    }
    printed.insert(
        "authorizedkeysfile",
        vec![words(&ours.authorized_keys_files).join(" ")],
    );
    let methods = words(&ours.authentication_methods).join(" ");
    printed.insert(
        "authenticationmethods",
        vec![if methods.is_empty() {
            "any".to_owned()
        } else {
            methods
        }],
    );
    printed
}

fn text(value: &Text) -> String {
    value.value.as_deref().map_or("none".to_owned(), |bytes| {
        String::from_utf8_lossy(bytes).into_owned()
    })
}

fn words(list: &List) -> Vec<String> {
    list.iter()
        .map(|word| String::from_utf8_lossy(&word.value).into_owned())
        .collect()
}
