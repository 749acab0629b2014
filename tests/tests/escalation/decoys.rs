//! What looks like a chain and leads nowhere.

use crate::stage::Case;
use crate::{mark, timer};
use rescind_tests::Release;

fn decoy(
    account: &'static str,
    others: &'static [&'static str],
    setup: &'static str,
    begin: &'static str,
    end: &'static str,
) -> Case {
    Case {
        account,
        others,
        setup,
        begin,
        end,
        links: Vec::new(),
    }
}

pub fn all(release: Release) -> Vec<Case> {
    let mut all = vec![
        decoy(
            "nopw9",
            &[],
            "echo 'nopw9 ALL=(ALL) ALL' >/etc/sudoers.d/nopw9",
            "",
            "echo guess | sudo -S id -u",
        ),
        decoy(
            "denied9",
            &[],
            "printf 'denied9 ALL=NOPASSWD: ALL\\ndenied9 ALL=!ALL\\n' >/etc/sudoers.d/denied9",
            "",
            "sudo -n id -u",
        ),
        decoy(
            "over9",
            &[],
            "echo 'over9 ALL=NOTAFTER=20200101000000Z NOPASSWD: ALL' >/etc/sudoers.d/over9",
            "",
            "sudo -n id -u",
        ),
        // sudo passes over names with a dot, and files that others can write to.
        decoy(
            "dot9",
            &[],
            "echo 'dot9 ALL=NOPASSWD: ALL' >/etc/sudoers.d/dot9.bak",
            "",
            "sudo -n id -u",
        ),
        decoy(
            "loose9",
            &[],
            "install -m 664 -g loose9 /dev/null /etc/sudoers.d/loose9",
            "echo \"loose9 ALL=NOPASSWD: ALL\" >/etc/sudoers.d/loose9",
            "sudo -n id -u",
        ),
        decoy(
            "fixed9",
            &[],
            "echo 'fixed9 ALL=(root) NOPASSWD: /usr/bin/whoami, /usr/bin/env \"\"' >/etc/sudoers.d/fixed9",
            "",
            "sudo -n env id -u",
        ),
        decoy(
            "expired9",
            &[],
            "echo 'expired9 ALL=NOPASSWD: ALL' >/etc/sudoers.d/expired9; chage -E 1 expired9",
            "",
            "sudo -n id -u",
        ),
        // It knows the password, but su is not for it.
        decoy(
            "su9",
            &[],
            "",
            "",
            "echo open-sesame | su su2 -c \"sudo -n id -u\"",
        ),
        // doas.conf is written with the chain: permitted, and denied again.
        decoy("doas9", &[], "", "", "doas id -u"),
        decoy(
            "docker9",
            &[],
            "groupadd docker-users; gpasswd -a docker9 docker-users",
            "",
            "perl -MIO::Socket::UNIX -e \"\\$s=IO::Socket::UNIX->new(q(/run/docker.sock)) or die; print \\$s qq(id -u\\n); \\$s->shutdown(1); print <\\$s>\"",
        ),
        decoy(
            "admin9",
            &[],
            "groupadd chess; gpasswd -A admin9 chess",
            "gpasswd -a admin9 chess",
            "sg chess -c \"sudo -n id -u\"",
        ),
        // In a sticky directory nobody moves what is root's.
        decoy(
            "sticky9",
            &[],
            concat!(
                "install -d -m 1777 /srv/sticky; printf '#!/bin/sh\\n:\\n' >/srv/sticky/run; chmod 755 /srv/sticky/run\n",
                timer!("sticky9", "ExecStart=/srv/sticky/run")
            ),
            "printf \"#!/bin/sh\\nid -u >/var/runs/sticky9\\n\" >/tmp/mine; mv -f /tmp/mine /srv/sticky/run; cp /tmp/mine /srv/sticky/run",
            "sleep 1; cat /var/runs/sticky9",
        ),
        // Everybody may write to it, if only they could get there.
        decoy(
            "hidden9",
            &[],
            concat!(
                "install -d -m 700 /srv/hidden; printf '#!/bin/sh\\n:\\n' >/srv/hidden/run; chmod 777 /srv/hidden/run\n",
                timer!("hidden9", "ExecStart=/srv/hidden/run")
            ),
            "printf \"#!/bin/sh\\nid -u >/var/runs/hidden9\\n\" >/srv/hidden/run",
            "cat /var/runs/hidden9",
        ),
        // An argument is not run.
        decoy(
            "argument9",
            &[],
            concat!(
                "install -d -o argument9 /srv/argument9\n",
                timer!("argument9", "ExecStart=/bin/ls /srv/argument9/run")
            ),
            "printf \"#!/bin/sh\\nid -u >/var/runs/argument9\\n\" >/srv/argument9/run; chmod 755 /srv/argument9/run",
            "cat /var/runs/argument9",
        ),
        // run-parts and cron.d pass over names with a dot.
        decoy(
            "parts9",
            &[],
            "install -d /etc/cron.mine; install -m 775 -g parts9 /dev/null /etc/cron.mine/job.sh
             echo '@reboot root run-parts /etc/cron.mine' >/etc/cron.d/mine
             install -m 775 -g parts9 /dev/null /srv/passed; echo '@reboot root /srv/passed' >/etc/cron.d/passed.over",
            "printf \"#!/bin/sh\\nid -u >/var/runs/parts9\\n\" | tee /etc/cron.mine/job.sh >/srv/passed",
            mark!("parts9"),
        ),
        // Its key is accepted nowhere: the file is too open for StrictModes, the line is a comment,
        // and one is over.
        decoy(
            "key9",
            &["key8"],
            "install -d -m 700 -o key9 -g key9 /home/key9/.ssh; ssh-keygen -q -t ed25519 -N '' -f /home/key9/.ssh/id_ed25519; chown key9: /home/key9/.ssh/*
             install -d -m 700 -o key8 -g key8 /home/key8/.ssh
             (sed 's/^/#/' /home/key9/.ssh/id_ed25519.pub; sed 's/^/expiry-time=\"20200101\" /' /home/key9/.ssh/id_ed25519.pub) >/home/key8/.ssh/authorized_keys
             cp /home/key9/.ssh/id_ed25519.pub /home/key8/.ssh/authorized_keys2; chown -R key8: /home/key8/.ssh; chmod 666 /home/key8/.ssh/authorized_keys2
             echo 'key8 ALL=NOPASSWD: ALL' >/etc/sudoers.d/key8",
            "",
            "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o PreferredAuthentications=publickey key8@127.0.0.1 sudo -n id -u",
        ),
        // It can write to the key file, and sshd therefore does not read it.
        decoy(
            "keyfile9",
            &["keyfile8"],
            "install -d -m 755 -o keyfile8 -g keyfile8 /home/keyfile8/.ssh; install -m 664 -o keyfile8 -g keyfile9 /dev/null /home/keyfile8/.ssh/authorized_keys
             echo 'keyfile8 ALL=NOPASSWD: ALL' >/etc/sudoers.d/keyfile8",
            "ssh-keygen -q -t ed25519 -N \"\" -f ~/mine; cat ~/mine.pub >/home/keyfile8/.ssh/authorized_keys",
            "ssh -i ~/mine -o BatchMode=yes -o StrictHostKeyChecking=no -o PreferredAuthentications=publickey keyfile8@127.0.0.1 sudo -n id -u",
        ),
        // One file turns it away before, of the other anybody could have written it.
        decoy(
            "host9",
            &["host8"],
            "printf -- '-127.0.0.1 host9\\n127.0.0.1 host9\\n' >/home/host8/.shosts; echo '127.0.0.1 host9' >/home/host8/.rhosts
             chown host8: /home/host8/.?hosts; chmod 666 /home/host8/.rhosts
             echo 'host8 ALL=NOPASSWD: ALL' >/etc/sudoers.d/host8",
            "",
            "ssh -o PreferredAuthentications=hostbased -o BatchMode=yes -o StrictHostKeyChecking=no host8@127.0.0.1 sudo -n id -u",
        ),
        // Setuid where the mount takes it away, and where it is for others.
        decoy(
            "setuid9",
            &[],
            "mount -t tmpfs -o nosuid,mode=755 none /opt; install -m 4755 /bin/bash /opt/bash5; install -m 4750 -g suers /bin/bash /usr/local/bin/bash9",
            "",
            "/opt/bash5 -p -c \"id -u\"; /usr/local/bin/bash9 -p -c \"id -u\"",
        ),
    ];
    all.push(decoy(
        "polkit9",
        &[],
        match release {
            Release::Bullseye => {
                "printf '[no]\\nIdentity=unix-user:polkit9\\nAction=org.freedesktop.policykit.exec\\nResultAny=auth_admin\\n' >/etc/polkit-1/localauthority/50-local.d/no.pkla
                 mkdir -p /etc/polkit-1/rules.d; printf 'polkit.addRule(function(action, subject) { if (subject.user == \"polkit9\") return polkit.Result.YES; });\\n' >/etc/polkit-1/rules.d/10-no.rules"
            }
            _ => {
                "printf 'polkit.addRule(function(action, subject) {\\n  if (subject.user == \"polkit9\") return polkit.Result.NO;\\n});\\n' >/etc/polkit-1/rules.d/00-no.rules
                 printf 'polkit.addRule(function(action, subject) {\\n  if (subject.isInGroup(\"polkit9\")) return polkit.Result.YES;\\n});\\n' >/etc/polkit-1/rules.d/20-no.rules"
            }
        },
        "",
        "pkexec --disable-internal-agent id -u",
    ));
    all
}
