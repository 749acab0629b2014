//! Chains from an account to root.

use std::fs;

use crate::files::Files;

const SU: [(&str, &str); 2] = [
    (
        "etc/pam.d/su",
        "auth sufficient pam_rootok.so\n@include common\n",
    ),
    ("usr/bin/su!", "libpam.so.0"),
];

const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nalice:x:61000:61000::/home/alice:/bin/sh\n\
    bob:x:61001:61001::/home/bob:/bin/sh\nsvc-db:x:60900:60900::/srv/db:/bin/sh\n\
    deploy:x:60901:60901::/srv/deploy:/bin/sh\n";
const GROUP: &str = "root:x:0:\nalice:x:61000:\nbob:x:61001:\nsvc-db:x:60900:\ndeploy:x:60901:\n\
    docker:x:998:\nops:x:997:deploy\nshadow:x:42:\nwheel:x:10:\n";
const SHADOW: &str = "root:!:19000::::::\nalice:!:19000::::::\nbob:!:19000::::::\n\
    svc-db:!:19000::::::\ndeploy:!:19000::::::\n";

#[test]
fn chains_of_sudo() {
    for (sudoers, want) in [
        (
            "deploy ALL=(ALL) NOPASSWD: ALL\n",
            &["may run any command as root, without a password [yes] /etc/sudoers:1"][..],
        ),
        // It has no password that could be asked.
        ("%ops ALL=(ALL:ALL) ALL\n", &[]),
        (
            "#60901 ALL=(root) NOPASSWD: /usr/bin/vim\n",
            &[
                "may run /usr/bin/vim (a program that writes any file) as root, without a password [likely] /etc/sudoers:1",
            ],
        ),
        (
            "User_Alias CREW = bob, deploy\nRunas_Alias DB = svc-db\n\
             CREW ALL=(DB) NOPASSWD: ALL\nsvc-db ALL=(root) NOPASSWD: /bin/bash\n",
            &[
                "may run any command as svc-db, without a password [yes] /etc/sudoers:3",
                "  may run /bin/bash (a program that runs any other) as root, without a password [likely] /etc/sudoers:4",
            ],
        ),
        (
            "Defaults targetpw\ndeploy ALL=(bob) ALL\nbob ALL=NOPASSWD: ALL\n",
            &[
                "may run any command as bob, with bob's password [with_password] /etc/sudoers:2",
                "  may run any command as root, without a password [yes] /etc/sudoers:3",
            ],
        ),
        (
            "deploy ALL=(#60900) NOPASSWD: ALL\nsvc-db ALL=(%ops) NOPASSWD: ALL\n\
             bob ALL=(ALL) NOPASSWD: ALL\n",
            &[],
        ),
        ("deploy ALL=(ALL, !root) NOPASSWD: ALL\n", &[]),
        ("deploy ALL=(ALL) NOPASSWD: /usr/bin/id\n", &[]),
    ] {
        let files = Files::with(&[("etc/sudoers", sudoers)]);
        assert_eq!(files.explain("deploy"), want, "{sudoers}");
    }
}

#[test]
fn without_sudo_its_rules_are_nothing() {
    let files = Files::with(&[("etc/sudoers", "deploy ALL=(ALL) NOPASSWD: ALL\n")]);
    fs::remove_file(files.0.join("usr/bin/sudo")).unwrap();
    assert_eq!(files.explain("deploy"), [""; 0]);
}

const DOCKER: &str = "root by group docker: it starts containers as root (docker.sock)";

#[test]
fn chains_of_groups_and_uids() {
    let group = GROUP.replace("docker:x:998:", "docker:x:998:deploy");
    let files = Files::with(&[("etc/group", &group)]);
    assert_eq!(
        files.explain("deploy"),
        [format!("{DOCKER} [yes] /etc/group:6")]
    );
    let passwd = PASSWD.replace("deploy:x:60901:60901", "deploy:x:60901:42");
    let files = Files::with(&[("etc/passwd", &passwd)]);
    assert_eq!(
        files.explain("deploy"),
        [
            "root by group shadow: it reads the password hashes of root and all others [likely] /etc/passwd:5"
        ]
    );
    let passwd = PASSWD.replace("bob:x:61001:", "bob:x:60901:");
    let files = Files::with(&[
        ("etc/passwd", &passwd),
        ("etc/sudoers", "bob ALL=(ALL) NOPASSWD: ALL\n"),
    ]);
    assert_eq!(
        files.explain("deploy"),
        [
            "has the uid 60901 as bob has it [yes] /etc/passwd:3",
            "  may run any command as root, without a password [yes] /etc/sudoers:1",
        ]
    );
}

#[test]
fn groups_that_are_entered() {
    let enters = "who knows its password enters group docker (newgrp); a member starts containers as root (docker.sock)";
    let newgrp = ("usr/bin/newgrp!", "");
    let gpasswd = ("usr/bin/gpasswd!", "");
    let files = Files::with(&[
        ("etc/gshadow", "docker:$6$h:svc-db:\nops:!::\n"),
        newgrp,
        gpasswd,
    ]);
    assert_eq!(
        files.explain("deploy"),
        [
            format!("{enters} [with_password] /etc/gshadow:1"),
            format!("  {DOCKER} [yes] /etc/group:6"),
        ]
    );
    assert_eq!(
        files.explain("svc-db"),
        [
            "as its administrator it makes anybody a member of group docker (gpasswd) [yes] /etc/gshadow:1".to_owned(),
            format!("  {DOCKER} [yes] /etc/group:6"),
        ]
    );
    // And what sudo lets the group do.
    let files = Files::with(&[
        ("etc/gshadow", "wheel:$6$h::\n"),
        ("etc/sudoers", "%wheel ALL=NOPASSWD: ALL\n"),
        newgrp,
    ]);
    assert_eq!(
        files.explain("alice"),
        [
            "who knows its password enters group wheel (newgrp) [with_password] /etc/gshadow:1",
            "  may run any command as root, without a password [yes] /etc/sudoers:1",
        ]
    );
    files.mode("usr/bin/newgrp", 0o4750);
    assert_eq!(files.explain("alice"), [""; 0]);
}

#[test]
fn chains_of_doas_and_polkit() {
    let files = Files::with(&[
        (
            "etc/doas.conf",
            "permit nopass alice as svc-db\npermit nopass svc-db cmd /bin/sh\n\
             permit nopass bob cmd /usr/bin/id\n",
        ),
        ("usr/bin/doas!", ""),
    ]);
    assert_eq!(
        files.explain("alice"),
        [
            "by doas it becomes svc-db, and no password is asked [yes] /etc/doas.conf:1",
            "  by doas it runs /bin/sh as anybody, root too, and no password is asked [likely] /etc/doas.conf:2",
        ]
    );
    assert_eq!(files.explain("bob"), [""; 0]);
    fs::remove_file(files.0.join("usr/bin/doas")).unwrap();
    assert_eq!(files.explain("alice"), [""; 0]);

    let rule = "polkit.addRule(function(action, subject) {\n    if (action.id == \"org.freedesktop.policykit.exec\" &&\n        subject.isInGroup(\"ops\"))\n        return polkit.Result.YES;\n});\n";
    let files = Files::with(&[
        ("usr/lib/polkit-1/polkitd", ""),
        ("etc/polkit-1/rules.d/10-ops.rules", rule),
    ]);
    assert_eq!(
        files.explain("deploy"),
        [
            "polkit lets it do org.freedesktop.policykit.exec without a password [yes] /etc/polkit-1/rules.d/10-ops.rules:4"
        ]
    );
    assert_eq!(files.explain("alice"), [""; 0]);
}

#[test]
fn chains_of_su() {
    let shadow = SHADOW.replace("svc-db:!", "svc-db:$1$saltsalt$9xy1btjgzLYfb7hivXtC//");
    let rules = ("etc/sudoers", "svc-db ALL=(ALL) NOPASSWD: ALL\n");
    let files = Files::with(&[("etc/shadow", &shadow), rules, SU[0], SU[1]]);
    let chain = [
        "may use su with the password of svc-db [with_password] /etc/shadow:4",
        "  may run any command as root, without a password [yes] /etc/sudoers:1",
    ];
    assert_eq!(files.explain("alice"), chain);

    let empty = SHADOW.replace("svc-db:!", "svc-db:");
    let files = Files::with(&[("etc/shadow", &empty), rules, SU[0], SU[1]]);
    assert_eq!(
        files.explain("alice")[0],
        "may use su, and svc-db has an empty password [yes] /etc/shadow:4"
    );

    let expired = shadow.replace(
        "svc-db:$1$saltsalt$9xy1btjgzLYfb7hivXtC//:19000::::::",
        "svc-db:$1$saltsalt$9xy1btjgzLYfb7hivXtC//:19000:::::1:",
    );
    let files = Files::with(&[("etc/shadow", &expired), rules, SU[0], SU[1]]);
    assert_eq!(files.explain("alice"), [""; 0]);
    let passwd = PASSWD.replace("/srv/db:/bin/sh", "/srv/db:/usr/sbin/nologin");
    let files = Files::with(&[
        ("etc/shadow", &shadow),
        ("etc/passwd", &passwd),
        rules,
        SU[0],
        SU[1],
    ]);
    assert_eq!(files.explain("alice"), [""; 0]);

    // alice, su, svc-db, sudo, bob, group: three steps.
    let group = GROUP.replace("docker:x:998:", "docker:x:998:bob");
    let files = Files::with(&[
        ("etc/shadow", &shadow),
        ("etc/group", &group),
        ("etc/sudoers", "svc-db ALL=(bob) NOPASSWD: ALL\n"),
        SU[0],
        SU[1],
    ]);
    assert_eq!(
        files.explain("alice"),
        [
            "may use su with the password of svc-db [with_password] /etc/shadow:4".to_owned(),
            "  may run any command as bob, without a password [yes] /etc/sudoers:1".to_owned(),
            format!("    {DOCKER} [yes] /etc/group:6"),
        ]
    );

    let only_wheel = (
        "etc/pam.d/su",
        "auth required pam_wheel.so\n@include common\n",
    );
    let files = Files::with(&[("etc/shadow", &shadow), rules, only_wheel, SU[1]]);
    assert_eq!(files.explain("alice"), [""; 0]);
    let group = GROUP.replace("wheel:x:10:", "wheel:x:10:alice");
    let trusted = (
        "etc/pam.d/su",
        "auth sufficient pam_wheel.so trust\n@include common\n",
    );
    let files = Files::with(&[("etc/group", &group), trusted, SU[1]]);
    assert_eq!(
        files.explain("alice")[0],
        "may use su without a password [yes] /etc/pam.d/su:1"
    );
    assert_eq!(files.explain("bob"), [""; 0]);
}

#[test]
fn the_surest_way_is_told() {
    // By a password in one step, without any in two.
    let shadow = SHADOW.replace("svc-db:!", "svc-db:$1$saltsalt$9xy1btjgzLYfb7hivXtC//");
    let files = Files::with(&[
        ("etc/shadow", &shadow),
        (
            "etc/sudoers",
            "alice ALL=(bob) NOPASSWD: ALL\nbob ALL=(svc-db) NOPASSWD: ALL\n\
             svc-db ALL=NOPASSWD: ALL\n",
        ),
        SU[0],
        SU[1],
    ]);
    assert_eq!(
        files.explain("alice"),
        [
            "may run any command as bob, without a password [yes] /etc/sudoers:1",
            "  may run any command as svc-db, without a password [yes] /etc/sudoers:2",
            "    may run any command as root, without a password [yes] /etc/sudoers:3",
        ]
    );
}
