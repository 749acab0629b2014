//! Passwords, and the shapes of their fields.

use crate::route::{On, Route, Try};

const HASH: &str = "{hash}";
const NO_DIALOG: &str = "Without PAM sshd asks for no password in a dialogue.";
const LOCKED: &str =
    "Without PAM sshd itself refuses an account whose password field begins with `!`.";

const SU: Try = Try::OnHost("echo open-sesame | as bob \"su -c 'echo inside' $u\"");

/// A login at a terminal; what is typed is not what is printed.
pub const LOGIN: Try = Try::OnHost(
    "perl /usr/bin/at-terminal \"login $u\" assword: open-sesame '$ ' 'echo in\\side' inside exit",
);

/// The password in passwd(5), and nothing in shadow(5).
const OLD: &str = "sed -i \"s|^$u:x:|$u:$hash:|\" /etc/passwd; sed -i \"/^$u:/d\" /etc/shadow";

pub fn all(on: On) -> Vec<Route> {
    let ssh = Try::Password(22, "password");
    let with_password = |hazard, account, what, attempt| Route {
        field: HASH,
        ..Route::new(hazard, account, what, attempt)
    };
    let console: &[_] = &[("console_password", "")];
    let mut all = vec![
        with_password("B1", "b01-ssh", "password over ssh", ssh),
        Route {
            absent: (!on.pam).then_some(NO_DIALOG),
            ..with_password(
                "B1",
                "b01-dialog",
                "password over ssh, keyboard-interactive",
                Try::Password(22, "keyboard-interactive"),
            )
        },
        Route {
            named: console,
            ..with_password(
                "B1",
                "b01-su",
                "su by another account, with the password",
                SU,
            )
        },
        Route {
            named: console,
            ..with_password(
                "B1",
                "b01-login",
                "login at a terminal, with the password",
                LOGIN,
            )
        },
        Route {
            plant: OLD,
            ..Route::new("B2", "b02-passwd", "hash in passwd(5), over ssh", ssh)
        },
        Route {
            plant: OLD,
            named: console,
            ..Route::new("B2", "b02-su", "hash in passwd(5), with su", SU)
        },
        Route {
            plant: "sed -i \"s|^$u:x:|$u:$hash:|\" /etc/passwd; sed -i \"/^$u:/d\" /etc/shadow
                match \"AuthorizedKeysFile /etc/ssh/everybody\"",
            named: &[("ssh_public_key", "/etc/ssh/everybody")],
            ..Route::new(
                "B2",
                "b02-key",
                "hash in passwd(5), no line in shadow(5) that could expire, key in a file for all",
                Try::Key(22, "echo inside"),
            )
        },
        Route {
            plant: "echo \"$u:$hash:19000::::::\" >>/etc/shadow",
            ..with_password("B2", "b02-twice", "two lines in shadow(5), over ssh", ssh)
        },
        Route {
            field: "",
            named: console,
            ..Route::new("B9", "b09-no-password", "empty password, with su", SU)
        },
    ];
    // Their key lies in a file for all, from which nobody's key is taken: the account has to close.
    for (hazard, account, what, field) in [
        ("B8", "b08-star", "password field `*`, key", "*"),
        ("B8", "b08-starlk", "password field `*LK*`, key", "*LK*"),
        ("B8", "b08-x", "password field `x`, key", "x"),
        ("B8", "b08-empty", "password field empty, key", ""),
        ("B8", "b08-hash", "password field with a hash, key", HASH),
        ("B9", "b09-bang", "password field `!`, key", "!"),
        ("B9", "b09-bangbang", "password field `!!`, key", "!!"),
        ("B9", "b09-bangstar", "password field `!*`, key", "!*"),
        (
            "B9",
            "b09-banghash",
            "password field `!` and a hash, key",
            "!{hash}",
        ),
    ] {
        all.push(Route {
            field,
            plant: "match \"AuthorizedKeysFile /etc/ssh/everybody\"",
            named: &[("ssh_public_key", "/etc/ssh/everybody")],
            absent: (!on.pam && field.starts_with('!')).then_some(LOCKED),
            ..Route::new(hazard, account, what, Try::Key(22, "echo inside"))
        });
    }
    all
}
