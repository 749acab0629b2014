//! Rules that make somebody else, or root.

use crate::route::{Named, Route, Try};

pub fn all() -> Vec<Route> {
    let row = |row: &(_, _, _, _, _, &'static [Named])| {
        let (hazard, account, what, plant, attempt, named) = *row;
        Route {
            plant,
            named,
            ..Route::new(hazard, account, what, attempt)
        }
    };
    let mut all: Vec<Route> = ROWS.iter().map(row).collect();
    all.push(Route {
        field: "{hash}",
        plant: "own_key; rule \"Defaults:$u timestamp_type=global\n$u ALL=(ALL) ALL\"",
        begin: "echo open-sesame | sudo -S -v",
        named: &[("sudo", "")],
        ..Route::new(
            "B22",
            "b22-ticket",
            "sudo by a ticket, in a process that is left",
            SUDO,
        )
    });
    all.push(Route {
        field: "{hash}",
        plant: "sed -i \"s/^$u:x:[0-9]*:/$u:x:0:/\" /etc/passwd",
        named: &[("console_password", ""), ("shared_uid", "")],
        ..Route::new(
            "B27",
            "b27-root",
            "second name of root, su with its password",
            Try::OnHost("echo open-sesame | as bob \"su -c 'echo inside' $u\""),
        )
    });
    all
}

/// By whoever is left of the account: sudo and doas ask PAM.
const SUDO: Try = Try::OnHost("as $u 'sudo -n echo inside'");
/// What asks nobody is closed with the way to it.
const DOCKER: &str = "perl -MIO::Socket::UNIX -e '$s=IO::Socket::UNIX->new(q(/run/b29.sock)) or die; print $s qq(echo in\\\\side\\n); $s->shutdown(1); print <$s>'";

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Try,
    &'static [Named],
);

const ROWS: &[Row] = &[
    (
        "B21",
        "b21-ssh",
        "sudo without a password, after a login with the key",
        "own_key; rule \"$u ALL=NOPASSWD: ALL\"",
        Try::Key(22, "sudo -n echo inside"),
        &[("sudo", "")],
    ),
    (
        "B21",
        "b21-left",
        "sudo without a password, in a process that is left",
        "rule \"$u ALL=NOPASSWD: ALL\"",
        SUDO,
        &[("sudo", "")],
    ),
    (
        "B23",
        "b23-group",
        "sudo by a group, in a process that is left",
        "groupadd b23-crew; gpasswd -a $u b23-crew; rule '%b23-crew ALL=NOPASSWD: ALL'",
        SUDO,
        &[("sudo", "")],
    ),
    (
        "B23",
        "b23-alias",
        "sudo by an alias, in a process that is left",
        "rule \"User_Alias US = $u\nUS ALL=NOPASSWD: ALL\"",
        SUDO,
        &[("sudo", "")],
    ),
    (
        "B23",
        "b23-uid",
        "sudo by a number, in a process that is left",
        "rule \"#$(id -u $u) ALL=NOPASSWD: ALL\"",
        SUDO,
        &[("sudo", "")],
    ),
    (
        "B23",
        "b23-doas",
        "doas, in a process that is left",
        "echo \"permit nopass $u as root\" >>/etc/doas.conf",
        Try::OnHost("as $u 'doas echo inside'"),
        &[("doas", "")],
    ),
    (
        "B24",
        "b24-polkit",
        "pkexec by a rule of polkit, after a login with the key",
        "own_key; polkit_rule",
        Try::Key(22, "pkexec echo inside"),
        &[("polkit", "")],
    ),
    (
        "B25",
        "b25-setuid",
        "setuid program that belongs to the account, run by another",
        "install -m 4755 -o $u /bin/bash /usr/local/bin/$u",
        Try::OnHost("as bob \"/usr/local/bin/$u -p -c '[ \\$EUID = $(id -u $u) ] && echo inside'\""),
        &[("shared_uid", "/usr/local/bin/b25-setuid")],
    ),
    (
        "B25",
        "b25-sudo",
        "sudo by another as the account",
        "rule \"bob ALL=($u) NOPASSWD: ALL\"",
        Try::OnHost("as bob \"sudo -n -u $u echo inside\""),
        &[("sudo", "/etc/sudoers.d/b25-sudo")],
    ),
    (
        "B25",
        "b25-doas",
        "doas by another as the account",
        "echo \"permit nopass bob as $u\" >>/etc/doas.conf",
        Try::OnHost("as bob \"doas -u $u echo inside\""),
        &[("doas", "/etc/doas.conf")],
    ),
    (
        "B27",
        "b27-uid",
        "second name of the uid, with a key of its own",
        "echo \"b27-twin:x:$(id -u $u):$(id -g $u)::/home/b27-twin:/bin/bash\" >>/etc/passwd
         echo 'b27-twin:*:19000::::::' >>/etc/shadow
         install -d -m 755 -o $u -g $u /home/b27-twin; home=/home/b27-twin; own_key",
        Try::KeyAs("b27-twin"),
        &[("shared_uid", "/etc/passwd")],
    ),
    (
        "B28",
        "b28-password",
        "group by its password (newgrp), after a login with the key",
        "own_key; groupadd b28-ops; echo 'b28-ops:speak friend' | chgpasswd",
        Try::Key(22, "(for i in 1 2 3 4; do sleep 1; echo speak friend; done) | script -qec 'sg b28-ops -c \"id -gn\"' /dev/null | grep -q b28-ops && echo inside"),
        &[("group_password", "")],
    ),
    (
        "B28",
        "b28-admin",
        "group by its administrator (gpasswd), after a login with the key",
        "own_key; groupadd b28-club; gpasswd -A $u b28-club",
        Try::Key(22, "gpasswd -a bob b28-club >/dev/null && echo inside"),
        &[("group_password", "")],
    ),
    (
        "B29",
        "b29-docker",
        "root by a socket for the group docker, after a login with the key",
        "own_key; groupadd -r docker; gpasswd -a $u docker
         printf '[Socket]\\nListenStream=/run/b29.sock\\nSocketGroup=docker\\nSocketMode=0660\\nAccept=yes\\n' >/etc/systemd/system/b29.socket
         printf '[Service]\\nExecStart=/bin/sh\\nStandardInput=socket\\n' >/etc/systemd/system/b29@.service
         start_at_boot b29.socket",
        Try::Key(22, DOCKER),
        &[("root_equivalent_group", "")],
    ),
];
