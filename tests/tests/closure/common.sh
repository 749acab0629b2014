# What all routes share, before they are set up.
mkdir -m 777 /var/marks
mkdir -p /srv/keys /etc/ssh/site
printf '#!/bin/sh\nwhile :; do echo x >>/var/marks/$1; sleep 0.3; done\n' >/usr/bin/keeps
chmod 755 /usr/bin/keeps
# A refusal is one at once.
sed -i '/pam_unix.so/s/$/ nodelay/' /etc/pam.d/common-auth
sed -i '/pam_faildelay/d' /etc/pam.d/login
cat >/etc/ssh/sshd_config <<END
Include /etc/ssh/sshd_config.d/*.conf
Include /etc/ssh/site/*.conf
UsePAM $pam
PasswordAuthentication yes
IgnoreRhosts no
UseDNS no
MaxStartups 100:30:200
Subsystem sftp internal-sftp
END
sed 's/^/127.0.0.1 /' /etc/ssh/ssh_host_*_key.pub >/etc/ssh/ssh_known_hosts
printf 'EnableSSHKeysign yes\nHostbasedAuthentication yes\n' >/etc/ssh/ssh_config
printf '%s\n' "$key" >/etc/ssh/everybody
printf '%s\n' "$ca" >/etc/ssh/ca.pub
chmod 644 /etc/ssh/everybody /etc/ssh/ca.pub
rm -f /etc/doas.conf
printf '[Service]\nExecStart=/usr/sbin/dropbear -F -E -R -p 2300\n' >/etc/systemd/system/dropbear-here.service
mkdir -p /etc/dropbear
groupadd b30-crew
gpasswd -a bob b30-crew
u=bob home=/home/bob
own_key
echo '@reboot echo x >>/var/marks/bob' | crontab -u bob -
