//! Stacks of PAM for sshd: what distributions ship, and what locks out or lets in more than it should.

use rescind_tests::readers::random::Random;

use super::nodes::Node;

/// `auth` lines; those that are usual stand first.
const AUTH: [&str; 9] = [
    "@include common-auth\n",
    "auth include common-auth\n",
    "auth required pam_env.so\nauth sufficient pam_unix.so nullok nodelay\nauth required pam_deny.so\n",
    "auth substack common-auth\n",
    "auth required pam_unix.so nodelay\n",
    "auth sufficient pam_permit.so\n@include common-auth\n",
    "auth [default=ignore] pam_unix.so nodelay\nauth required pam_permit.so\n",
    "auth required pam_deny.so\n",
    "auth [success=2 default=ignore] pam_unix.so nodelay\nauth requisite pam_deny.so\n\
     auth required pam_deny.so\n-auth optional pam_no_such_module.so\nauth required pam_permit.so\n",
];

/// `account` lines, likewise.
const ACCOUNT: [&str; 14] = [
    "account required pam_nologin.so\n@include common-account\n",
    "account include common-account\n",
    "account required pam_unix.so\n",
    "account required pam_unix.so\naccount sufficient pam_localuser.so\naccount required pam_permit.so\n",
    "account substack common-account\n",
    "account required pam_permit.so\n",
    "account sufficient pam_permit.so\n@include common-account\n",
    "account sufficient pam_localuser.so\naccount required pam_unix.so\n",
    "account [default=ignore] pam_unix.so\naccount \\\n  required pam_permit.so # so be it\n",
    "account optional pam_unix.so\naccount required pam_localuser.so\n",
    "account required pam_deny.so\n",
    "Account [success=done new_authtok_reqd=done default=bad] pam_unix.so\n",
    "account [success=1 default=ignore] pam_unix.so\naccount requisite pam_deny.so\n",
    "",
];

/// The files of PAM's services for one case.
pub fn generate(random: &mut Random) -> Vec<Node> {
    ["sshd", "web"]
        .map(|service| {
            let auth = pick(random, &AUTH, 3);
            let account = pick(random, &ACCOUNT, 4);
            // No session is made known to logind: there are thousands.
            let rest = "session required pam_permit.so\n@include common-password\n";
            Node::file(
                &format!("/etc/pam.d/{service}"),
                [auth, account, rest].concat(),
            )
        })
        .into()
}

fn pick(random: &mut Random, from: &[&'static str], usual: usize) -> &'static str {
    match random.below(100) {
        0..60 => from[0],
        60..80 => from[random.below(usual)],
        _ => from[random.below(from.len())],
    }
}
