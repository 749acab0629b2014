//! Cron, at, timers, units: what runs later.

use crate::route::{Named, Route, Try};

pub fn all() -> Vec<Route> {
    let row = |row: &(_, _, _, _, &'static [Named])| {
        let (hazard, account, what, plant, named) = *row;
        Route {
            plant,
            named,
            ..Route::new(hazard, account, what, Try::Mark)
        }
    };
    ROWS.iter().map(row).collect()
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [Named],
);

/// cron runs a job of `@reboot` as soon as it is started for the first time after a boot, so that
/// nobody needs to wait for the next minute; `at` jobs are for tomorrow, and made due one by one.
const ROWS: &[Row] = &[
    (
        "B17",
        "b17-timer",
        "linger, and a timer of the account's own systemd",
        "unit=$home/.config/systemd/user; mkdir -p $unit/timers.target.wants
         printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c \"echo x >>/var/marks/%s\"\\n' $u >$unit/tick.service
         printf '[Unit]\\nStartLimitIntervalSec=0\\n' >>$unit/tick.service
         printf '[Timer]\\nOnActiveSec=0\\nOnUnitInactiveSec=500ms\\nAccuracySec=10ms\\n' >$unit/tick.timer
         ln -s ../tick.timer $unit/timers.target.wants/; chown -R $u: $home/.config; linger",
        &[("systemd_user_unit", "")],
    ),
    (
        "B17",
        "b17-service",
        "linger, and a service of the account's own systemd",
        "unit=$home/.config/systemd/user; mkdir -p $unit/default.target.wants
         printf '[Service]\\nExecStart=/usr/bin/keeps %s\\nRestart=always\\nRestartSec=1\\n' $u >$unit/tick.service
         ln -s ../tick.service $unit/default.target.wants/; chown -R $u: $home/.config; linger",
        &[("systemd_user_unit", "")],
    ),
    (
        "B18",
        "b18-own",
        "job in the account's crontab",
        "echo \"@reboot echo x >>/var/marks/$u\" | crontab -u $u -",
        &[("crontab", "/var/spool/cron/crontabs/b18-own")],
    ),
    (
        "B18",
        "b18-crond",
        "job in a file of /etc/cron.d",
        "echo \"@reboot $u echo x >>/var/marks/$u\" >/etc/cron.d/$u",
        &[("crontab", "/etc/cron.d/b18-crond")],
    ),
    (
        "B18",
        "b18-system",
        "job in /etc/crontab",
        "echo \"@reboot $u echo x >>/var/marks/$u\" >>/etc/crontab",
        &[("crontab", "/etc/crontab")],
    ),
    (
        "B19",
        "b19-at",
        "job of at",
        "for i in 1 2 3; do echo \"echo x >>/var/marks/$u\" | as $u at now + 1 day; done 2>&1",
        &[("at_job", "")],
    ),
    (
        "B20",
        "b20-service",
        "system service that runs as the account and is restarted",
        "printf '[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nUser=%s\\nExecStart=/usr/bin/keeps %s\\nRestart=always\\nRestartSec=1\\n' $u $u >/etc/systemd/system/$u.service
         start_at_boot $u.service",
        &[("systemd_unit", "")],
    ),
    (
        "B20",
        "b20-timer",
        "timer whose service runs as the account",
        "printf '[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nType=oneshot\\nUser=%s\\nExecStart=/bin/sh -c \"echo x >>/var/marks/%s\"\\n' $u $u >/etc/systemd/system/$u.service
         printf '[Timer]\\nOnActiveSec=0\\nOnUnitInactiveSec=500ms\\nAccuracySec=10ms\\n' >/etc/systemd/system/$u.timer
         start_at_boot $u.timer",
        &[("systemd_unit", "")],
    ),
    (
        "B20",
        "b20-socket",
        "socket whose service runs as the account",
        "printf '[Service]\\nUser=%s\\nExecStart=/bin/sh -c \"echo x >>/var/marks/%s\"\\n' $u $u >/etc/systemd/system/$u@.service
         printf '[Socket]\\nListenStream=/run/provoked.sock\\nAccept=yes\\n' >/etc/systemd/system/$u.socket
         start_at_boot $u.socket",
        &[("systemd_unit", "")],
    ),
    (
        "B20",
        "b20-path",
        "path unit whose service runs as the account",
        "printf '[Service]\\nType=oneshot\\nUser=%s\\nExecStart=/bin/sh -c \"echo x >>/var/marks/%s\"\\n' $u $u >/etc/systemd/system/$u.service
         printf '[Path]\\nPathChanged=/var/provoked\\n' >/etc/systemd/system/$u.path
         start_at_boot $u.path",
        &[("systemd_unit", "")],
    ),
    (
        "B20",
        "b20-by-hand",
        "system service that runs as the account, not enabled, started by hand",
        "printf '[Unit]\\nStartLimitIntervalSec=0\\n[Service]\\nUser=%s\\nExecStart=/usr/bin/keeps %s\\nRestart=always\\nRestartSec=1\\n' $u $u >/etc/systemd/system/$u.service
         systemctl daemon-reload; systemctl start $u.service",
        &[("systemd_unit", "")],
    ),
    (
        "B20",
        "b20-transient",
        "transient unit that runs as the account (systemd-run)",
        "systemd-run --quiet --uid=$u --unit=$u --property=Restart=always --property=RestartSec=1 --property=StartLimitIntervalSec=0 /usr/bin/keeps $u",
        &[("systemd_unit", "")],
    ),
    (
        "B26",
        "b26-cron",
        "script of the account's that root's cron runs",
        "printf '#!/bin/sh\\necho x >>/var/marks/%s\\n' $u >$home/job; chmod 755 $home/job; chown $u: $home/job
         echo \"@reboot root $home/job\" >/etc/cron.d/$u",
        &[("crontab", "/etc/cron.d/b26-cron")],
    ),
    (
        "B26",
        "b26-unit",
        "program of the account's that a service of root's runs",
        "printf '#!/bin/sh\\nexec keeps %s\\n' $u >$home/run; chmod 755 $home/run; chown $u: $home/run
         printf '[Service]\\nExecStart=%s/run\\nRestart=always\\nRestartSec=1\\n' $home >/etc/systemd/system/$u.service
         start_at_boot $u.service",
        &[("systemd_unit", "/etc/systemd/system/b26-unit.service")],
    ),
];
