# Words of the scripts that set routes up. Before each: u, home of the account.

# Appends the key to a file in the home: [FILE].
own_key() {
    file=$home/${1:-.ssh/authorized_keys}
    install -d -m 700 -o "$u" -g "$u" "$(dirname "$file")"
    printf '%s\n' "$key" >>"$file"
    chown "$u:" "$file"
    chmod 600 "$file"
}

# Writes the key to a file of root's.
key_in() {
    mkdir -p "$(dirname "$1")"
    printf '%s\n' "$key" >"$1"
    chmod 644 "$1"
}

# Settings of sshd for this account alone.
match() {
    printf 'Match User %s\n%s\n' "$u" "$1" >>/etc/ssh/sshd_config
}

# Another sshd: NAME PORT USEPAM.
sshd_of() {
    cat >"/etc/ssh/$1_config" <<END
Port $2
UsePAM $3
PidFile none
MaxStartups 100:30:200
PerSourcePenalties no
AuthorizedKeysFile /srv/$1/%u
END
    /usr/sbin/sshd -V 2>&1 | grep -q 'OpenSSH_1' || sed -i /PerSourcePenalties/d "/etc/ssh/$1_config"
}

start_sshd() {
    systemd-run --quiet --unit="sshd-$1" --property=KillMode=process "$2" -D -f "/etc/ssh/$1_config"
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

rule() {
    printf '%s\n' "$1" >"/etc/sudoers.d/$u"
    chmod 440 "/etc/sudoers.d/$u"
}

# polkit before 0.106 knows no rules, only these files.
polkit_rule() {
    if [ -d /etc/polkit-1/localauthority ]; then
        printf '[us]\nIdentity=unix-user:%s\nAction=org.freedesktop.policykit.exec\nResultAny=yes\n' "$u" \
            >/etc/polkit-1/localauthority/50-local.d/us.pkla
    else
        printf 'polkit.addRule(function(action, subject) {\n  if (subject.user == "%s") return polkit.Result.YES;\n});\n' "$u" \
            >/etc/polkit-1/rules.d/10-us.rules
    fi
}

linger() {
    mkdir -p /var/lib/systemd/linger
    touch "/var/lib/systemd/linger/$u"
    systemctl start "user@$(id -u "$u").service"
}

start_at_boot() {
    mkdir -p /etc/systemd/system/multi-user.target.wants
    ln -s "../$1" /etc/systemd/system/multi-user.target.wants/
    units="$units $1"
}

# Runs a command as another account: NAME COMMAND...
as() {
    who=$1
    shift
    setpriv --reuid "$who" --regid "$(id -g "$who")" --init-groups env -i HOME="/home/$who" USER="$who" \
        LOGNAME="$who" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin bash -c "cd; $*"
}
