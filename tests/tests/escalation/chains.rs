//! Chains that lead to root.

use crate::stage::{Case, link, perhaps};
use crate::{mark, timer};
use rescind_tests::Release;

pub fn all(release: Release) -> Vec<Case> {
    let mut all = vec![
        Case {
            account: "sudo1",
            others: &[],
            setup: "echo 'sudo1 ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/sudo1",
            begin: "",
            end: "sudo -n id -u",
            links: vec![link("sudo", "root", "/etc/sudoers.d/sudo1:1")],
        },
        Case {
            account: "alias1",
            others: &[],
            setup: "groupadd crew; gpasswd -a alias1 crew
                printf 'User_Alias CREW = %%crew, !nobody\\nCmnd_Alias TOOLS = /usr/bin/env\\nCREW ALL = (root) NOPASSWD: TOOLS\\n' >/etc/sudoers.d/alias1",
            begin: "",
            end: "sudo -n env id -u",
            links: vec![perhaps("sudo", "root", "likely", "/etc/sudoers.d/alias1:3")],
        },
        // alice → su → svc → sudo → root
        Case {
            account: "su1",
            others: &["su2"],
            setup: "gpasswd -a su1 suers; echo su2:open-sesame | chpasswd
                echo 'su2 ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/su2",
            begin: "",
            end: "echo open-sesame | su su2 -c \"sudo -n id -u\" | tail -1",
            links: vec![
                perhaps("su", "su2", "with_password", ""),
                link("sudo", "root", "/etc/sudoers.d/su2:1"),
            ],
        },
        // Three steps, by uid and group.
        Case {
            account: "runas1",
            others: &["runas2", "runas3"],
            setup: "groupadd third; gpasswd -a runas3 third
                printf '%s\\n' \"#$(id -u runas1) ALL=(runas2) NOPASSWD: ALL\" 'runas2 ALL=(%third) NOPASSWD: ALL' '%third ALL=NOPASSWD: ALL' >/etc/sudoers.d/runas",
            begin: "",
            end: "sudo -n -u runas2 sudo -n -u runas3 sudo -n id -u",
            links: vec![
                link("sudo", "runas2", "/etc/sudoers.d/runas:1"),
                link("sudo", "runas3", "/etc/sudoers.d/runas:2"),
                link("sudo", "root", "/etc/sudoers.d/runas:3"),
            ],
        },
        Case {
            account: "doas1",
            others: &["doas2"],
            setup: "printf 'permit nopass doas1 as doas2\\npermit nopass doas2 as root\\npermit nopass doas9 as root\\ndeny doas9\\n' >>/etc/doas.conf",
            begin: "",
            end: "doas -u doas2 doas id -u",
            links: vec![
                link("doas", "doas2", "/etc/doas.conf:1"),
                link("doas", "root", "/etc/doas.conf:2"),
            ],
        },
        // A group that is root's, by its own socket: what docker does.
        Case {
            account: "docker1",
            others: &[],
            setup: "groupadd docker; gpasswd -a docker1 docker
                printf '[Socket]\\nListenStream=/run/docker.sock\\nSocketGroup=docker\\nSocketMode=0660\\nAccept=yes\\n' >/etc/systemd/system/docker.socket
                printf '[Service]\\nExecStart=/bin/sh\\nStandardInput=socket\\n' >/etc/systemd/system/docker@.service
                ln -s ../docker.socket /etc/systemd/system/timers.target.wants/",
            begin: "",
            end: "perl -MIO::Socket::UNIX -e \"\\$s=IO::Socket::UNIX->new(q(/run/docker.sock)) or die; print \\$s qq(id -u\\n); \\$s->shutdown(1); print <\\$s>\"",
            links: vec![link("group", "root", "")],
        },
        Case {
            account: "admin1",
            others: &[],
            setup: "gpasswd -A admin1 docker; gpasswd -a admin1 newgrpers",
            begin: "",
            end: "gpasswd -a admin1 docker >/dev/null; sg docker -c \"perl -MIO::Socket::UNIX -e \\\"\\\\\\$s=IO::Socket::UNIX->new(q(/run/docker.sock)) or die; print \\\\\\$s qq(id -u\\\\n); \\\\\\$s->shutdown(1); print <\\\\\\$s>\\\"\"",
            links: vec![
                link("group_password", "admin1", ""),
                link("group", "root", ""),
            ],
        },
        Case {
            account: "grouppw1",
            others: &[],
            setup: "groupadd vault; echo 'vault:speak friend' | chgpasswd; gpasswd -a grouppw1 newgrpers
                echo '%vault ALL=NOPASSWD: ALL' >/etc/sudoers.d/vault",
            begin: "",
            end: "(sleep 1; echo speak friend) | script -qec \"sg vault -c \\\"sudo -n id -u\\\"\" /dev/null | tr -dc \"0-9\\n\" | grep . | tail -1",
            links: vec![
                perhaps("group_password", "grouppw1", "with_password", ""),
                link("sudo", "root", "/etc/sudoers.d/vault:1"),
            ],
        },
        Case {
            account: "cron1",
            others: &[],
            setup: "install -d -o cron1 /srv/cron1; echo '@reboot root /srv/cron1/job' >/etc/cron.d/cron1",
            begin: "printf \"#!/bin/sh\\nid -u >/var/runs/cron1\\n\" >/srv/cron1/job; chmod 755 /srv/cron1/job",
            end: mark!("cron1"),
            links: vec![link("writes", "root", "/etc/cron.d/cron1:1")],
        },
        // A crontab of one account's that runs what another may write to by a group.
        Case {
            account: "cron2",
            others: &["cron3"],
            setup: "install -m 775 -o cron3 -g cron2 /dev/null /home/cron3/job
                echo '@reboot cd ~ && ./job' | crontab -u cron3 -
                echo 'cron3 ALL=NOPASSWD: ALL' >/etc/sudoers.d/cron3",
            begin: "printf \"#!/bin/sh\\nsudo -n id -u >/var/runs/cron2\\n\" >/home/cron3/job",
            end: mark!("cron2"),
            links: vec![
                link("writes", "cron3", ""),
                link("sudo", "root", "/etc/sudoers.d/cron3:1"),
            ],
        },
        Case {
            account: "timer1",
            others: &[],
            setup: concat!(
                "install -d -m 755 /srv/timer; install -m 775 -g timer1 /dev/null /srv/timer/run; echo '#!/bin/sh' >/srv/timer/run\n",
                timer!("timer1", "ExecStart=/srv/timer/run")
            ),
            begin: "printf \"#!/bin/sh\\nid -u >/var/runs/timer1\\n\" >/srv/timer/run",
            end: mark!("timer1"),
            links: vec![link("writes", "root", "/etc/systemd/system/timer1.service:3")],
        },
        // A unit that runs as another, who is root by sudo.
        Case {
            account: "unit1",
            others: &["unit2"],
            setup: concat!(
                "install -d -m 775 -g unit1 /srv/unit; install -m 755 /dev/null /srv/unit/run; echo '#!/bin/sh' >/srv/unit/run\n",
                "echo 'unit2 ALL=NOPASSWD: ALL' >/etc/sudoers.d/unit2\n",
                timer!("unit1", "User=unit2\\nExecStart=/bin/sh -c \"exec /srv/unit/run\"")
            ),
            begin: "rm -f /srv/unit/run; printf \"#!/bin/sh\\nsudo -n id -u >/var/runs/unit1\\n\" >/srv/unit/run; chmod 755 /srv/unit/run",
            end: mark!("unit1"),
            links: vec![
                link("writes", "unit2", "/etc/systemd/system/unit1.service:4"),
                link("sudo", "root", "/etc/sudoers.d/unit2:1"),
            ],
        },
        Case {
            account: "acl1",
            others: &[],
            setup: concat!(
                "install -m 755 /dev/null /srv/timer/acl; echo '#!/bin/sh' >/srv/timer/acl; setfacl -m u:acl1:rwx /srv/timer/acl\n",
                timer!("acl1", "ExecStart=/srv/timer/acl")
            ),
            begin: "printf \"#!/bin/sh\\nid -u >/var/runs/acl1\\n\" >/srv/timer/acl",
            end: mark!("acl1"),
            links: vec![link("writes", "root", "/etc/systemd/system/acl1.service:3")],
        },
        Case {
            account: "rule1",
            others: &[],
            setup: "install -d -o rule1 /srv/rule1; install -m 755 /dev/null /srv/rule1/tool
                echo 'rule1 ALL=(root) NOPASSWD: /srv/rule1/tool --safe' >/etc/sudoers.d/rule1",
            begin: "mv /srv/rule1/tool /srv/rule1/old; printf \"#!/bin/sh\\nid -u\\n\" >/srv/rule1/tool; chmod 755 /srv/rule1/tool",
            end: "sudo -n /srv/rule1/tool --safe",
            links: vec![link("writes", "root", "/etc/sudoers.d/rule1:1")],
        },
        // A private key of its own that is accepted for another.
        Case {
            account: "key1",
            others: &["key2"],
            setup: "install -d -m 700 -o key1 -g key1 /home/key1/.ssh; ssh-keygen -q -t ed25519 -N '' -f /home/key1/.ssh/work; chown key1: /home/key1/.ssh/*
                install -d -m 700 -o key2 -g key2 /home/key2/.ssh; install -m 600 -o key2 -g key2 /home/key1/.ssh/work.pub /home/key2/.ssh/authorized_keys
                echo 'key2 ALL=NOPASSWD: ALL' >/etc/sudoers.d/key2",
            begin: "",
            end: "ssh -i ~/.ssh/work -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR key2@127.0.0.1 sudo -n id -u",
            links: vec![
                link("ssh_key", "key2", "/home/key2/.ssh/authorized_keys:1"),
                link("sudo", "root", "/etc/sudoers.d/key2:1"),
            ],
        },
        // Somebody else's private key that can be read.
        Case {
            account: "key3",
            others: &["key4"],
            setup: "install -d -m 755 -o key4 -g key4 /home/key4/.ssh; ssh-keygen -q -t ed25519 -N '' -f /home/key4/.ssh/id_ed25519; chown key4: /home/key4/.ssh/*
                chgrp key3 /home/key4/.ssh/id_ed25519; chmod 640 /home/key4/.ssh/id_ed25519
                install -m 600 -o key4 -g key4 /home/key4/.ssh/id_ed25519.pub /home/key4/.ssh/authorized_keys
                echo 'key4 ALL=NOPASSWD: ALL' >/etc/sudoers.d/key4",
            begin: "cp /home/key4/.ssh/id_ed25519 ~/copy; chmod 600 ~/copy",
            end: "ssh -i ~/copy -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR key4@127.0.0.1 sudo -n id -u",
            links: vec![
                link("ssh_key", "key4", "/home/key4/.ssh/authorized_keys:1"),
                link("sudo", "root", "/etc/sudoers.d/key4:1"),
            ],
        },
        // A key file that others can write to, on an sshd that does not mind.
        Case {
            account: "keyfile1",
            others: &["keyfile2"],
            setup: "install -m 664 -o root -g keyfile1 /dev/null /etc/ssh/keys/keyfile2
                echo 'keyfile2 ALL=NOPASSWD: ALL' >/etc/sudoers.d/keyfile2",
            begin: "ssh-keygen -q -t ed25519 -N \"\" -f ~/mine; cat ~/mine.pub >>/etc/ssh/keys/keyfile2",
            end: "ssh -p 2222 -i ~/mine -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR keyfile2@127.0.0.1 sudo -n id -u",
            links: vec![
                link("key_file", "keyfile2", "/etc/ssh/keys/keyfile2"),
                link("sudo", "root", "/etc/sudoers.d/keyfile2:1"),
            ],
        },
        // The host's own word.
        Case {
            account: "host1",
            others: &["host2"],
            setup: "echo '127.0.0.1 host1' >/home/host2/.shosts; chown host2: /home/host2/.shosts
                echo 'host2 ALL=NOPASSWD: ALL' >/etc/sudoers.d/host2",
            begin: "",
            end: "ssh -o PreferredAuthentications=hostbased -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR host2@127.0.0.1 sudo -n id -u",
            links: vec![
                link("host_based", "host2", "/home/host2/.shosts:1"),
                link("sudo", "root", "/etc/sudoers.d/host2:1"),
            ],
        },
        Case {
            account: "setuid1",
            others: &[],
            setup: "install -m 4750 -g setuid1 /bin/bash /usr/local/bin/bash5",
            begin: "",
            end: "/usr/local/bin/bash5 -p -c \"id -u\"",
            links: vec![perhaps("setuid", "root", "likely", "")],
        },
        Case {
            account: "cap1",
            others: &[],
            // cap_setuid=ep
            setup: "install -m 750 -g cap1 /usr/bin/perl /usr/local/bin/perl5
                setfattr -n security.capability -v 0x0100000280000000000000000000000000000000 /usr/local/bin/perl5",
            begin: "",
            end: "/usr/local/bin/perl5 -e \"\\$< = \\$> = 0; exec q(id), q(-u)\"",
            links: vec![perhaps("setuid", "root", "likely", "")],
        },
        // Another name for somebody's uid; sudo knows the uid by the first of them.
        Case {
            account: "twin1",
            others: &["twin2"],
            setup: "sed -i \"s/^twin2:x:[0-9]*:/twin2:x:$(id -u twin1):/\" /etc/passwd
                echo 'twin2 ALL=NOPASSWD: ALL
#'$(id -u twin1)' ALL=NOPASSWD: ALL' >/etc/sudoers.d/twin",
            begin: "",
            end: "sudo -n id -u",
            links: vec![link("sudo", "root", "/etc/sudoers.d/twin:2")],
        },
    ];
    all.push(polkit(release));
    all
}

/// Which polkit it is decides in what it is told.
fn polkit(release: Release) -> Case {
    match release {
        Release::Bullseye => Case {
            account: "polkit1",
            others: &[],
            setup: "printf '[us]\\nIdentity=unix-user:polkit1\\nAction=org.freedesktop.policykit.exec\\nResultAny=yes\\n' >/etc/polkit-1/localauthority/50-local.d/us.pkla",
            begin: "",
            end: "pkexec id -u",
            links: vec![link(
                "polkit",
                "root",
                "/etc/polkit-1/localauthority/50-local.d/us.pkla:1",
            )],
        },
        _ => Case {
            account: "polkit1",
            others: &[],
            setup: "printf 'polkit.addRule(function(action, subject) {\\n  if (action.id == \"org.freedesktop.policykit.exec\" && subject.user == \"polkit1\")\\n    return polkit.Result.YES;\\n});\\n' >/etc/polkit-1/rules.d/10-us.rules",
            begin: "",
            end: "pkexec id -u",
            links: vec![link(
                "polkit",
                "root",
                "/etc/polkit-1/rules.d/10-us.rules:3",
            )],
        },
    }
}
