//! Services of PAM that let expired accounts pass, and who is let in without a password.

use super::passwords::LOGIN;
use crate::route::{Named, Route, Try};

pub fn all() -> Vec<Route> {
    let careless = CARELESS.iter().map(|row| Route {
        careless_pam: true,
        ..route(row)
    });
    let autologin = route(&(
        "B39",
        "b39-getty",
        "getty that logs in the account by itself",
        "*",
        "",
        AUTOLOGIN,
        &[],
    ));
    careless.chain([autologin]).collect()
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Try,
    &'static [Named],
);

fn route(row: &Row) -> Route {
    let (hazard, account, what, field, plant, attempt, named) = *row;
    Route {
        field,
        plant,
        named,
        ..Route::new(hazard, account, what, attempt)
    }
}

/// What getty starts for it.
const AUTOLOGIN: Try =
    Try::OnHost("perl /usr/bin/at-terminal \"login -f $u\" '$ ' 'echo in\\side' inside exit");

const CARELESS: &[Row] = &[
    (
        "B30",
        "b30-key",
        "PAM of sshd lets expired accounts pass, key in a file for all",
        "*",
        "match 'AuthorizedKeysFile /etc/ssh/everybody'",
        Try::Key(22, "echo inside"),
        &[("ssh_public_key", "/etc/ssh/everybody")],
    ),
    (
        "B30",
        "b30-password",
        "the same, with the password",
        "{hash}",
        "",
        Try::Password(22, "password"),
        &[("ssh_password", "")],
    ),
    (
        "B30",
        "b30-su",
        "PAM of su lets a group in without a password, and expired accounts pass",
        "*",
        "",
        Try::OnHost("as bob \"su -c 'echo inside' $u\" </dev/null"),
        &[("console_password", "")],
    ),
    (
        "B30",
        "b30-login",
        "PAM of login lets expired accounts pass, with the password",
        "{hash}",
        "",
        LOGIN,
        &[("console_password", "")],
    ),
    (
        "B30",
        "b30-cron",
        "PAM of cron lets expired accounts pass, job in a crontab",
        "*",
        "echo \"@reboot echo x >>/var/marks/$u\" | crontab -u $u -",
        Try::Mark,
        &[("crontab", "/var/spool/cron/crontabs/b30-cron")],
    ),
    (
        "B30",
        "b30-at",
        "PAM of atd lets expired accounts pass, job of at",
        "*",
        "for i in 1 2 3; do echo \"echo x >>/var/marks/$u\" | as $u at now + 1 day; done 2>&1",
        Try::Mark,
        &[("at_job", "")],
    ),
    (
        "B30",
        "b30-linger",
        "PAM of systemd lets expired accounts pass, linger",
        "*",
        "unit=$home/.config/systemd/user; mkdir -p $unit/default.target.wants
         printf '[Service]\\nExecStart=/usr/bin/keeps %s\\nRestart=always\\nRestartSec=1\\n' $u >$unit/tick.service
         ln -s ../tick.service $unit/default.target.wants/; chown -R $u: $home/.config; linger",
        Try::Mark,
        &[("systemd_user_unit", "")],
    ),
    (
        "B30",
        "b30-sudo",
        "PAM of sudo lets expired accounts pass, in a process that is left",
        "*",
        "rule \"$u ALL=NOPASSWD: ALL\"",
        Try::OnHost("as $u 'sudo -n echo inside'"),
        &[("sudo", "")],
    ),
    (
        "B30",
        "b30-doas",
        "PAM of doas lets expired accounts pass, in a process that is left",
        "*",
        "echo \"permit nopass $u as root\" >>/etc/doas.conf",
        Try::OnHost("as $u 'doas echo inside'"),
        &[("doas", "")],
    ),
    (
        "B39",
        "b39-careless",
        "PAM of login lets expired accounts pass, getty that logs in the account by itself",
        "*",
        "mkdir -p /etc/systemd/system/getty@tty1.service.d
         printf '[Service]\\nExecStart=\\nExecStart=-/sbin/agetty --autologin %s --noclear %%%%I linux\\n' $u >/etc/systemd/system/getty@tty1.service.d/auto.conf",
        AUTOLOGIN,
        &[("console_password", ""), ("systemd_unit", "getty@tty1.service.d/auto.conf")],
    ),
];
