#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# build/setup with an apt, a dpkg and a systemctl of its own: whether it asks,
# installs or only tells; and that services stay off and policy-rc.d comes
# back, however the installation ends.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename qw(dirname);
use File::Path qw(make_path);
use FCNG::Util qw(tmpdir slurp spew wait_until find_tool spawn);
use POSIX ();
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/..');
my $dir = tmpdir();
my ($bin, $sbin) = ("$dir/bin", "$dir/sbin");
my $policy = "$sbin/policy-rc.d";
make_path($bin, $sbin);

# A machine that has everything but curl: what is not here is in sbin, if
# anywhere.
for my $tool (qw(bash sh sed grep cat chmod chown comm sort rm mv mktemp mkdir
    cp dirname flock env sleep date tr wc find touch ln)) {
    my $path = find_tool($tool) or next;
    symlink $path, "$bin/$tool";
}
sub stub {
    my ($name, $text) = @_;
    spew("$bin/$name", "#!/bin/sh\n$text");
    chmod 0755, "$bin/$name";
}
stub($_, "exit 0\n") for qw(gcc g++ make nm prove apr-1-config apu-1-config
    apxs apache2 nginx go nghttp wrk openssl ss valgrind update-rc.d);
stub('id', "echo \${FAKE_UID:-0}\n");
stub('systemctl', "echo \"\$*\" >> $dir/systemctl\n");
stub('sudo', "echo \"sudo \$*\" >> $dir/calls\nFAKE_UID=0 exec \"\$@\"\n");
stub('dpkg-query', "cat $dir/packages\n");
stub('dpkg', "echo /lib/systemd/system/\$2.service\n"
    . "echo /lib/systemd/system/\$2\@.service\n");
# install: the package's service may not start; then what $dir/then says.
stub('apt-get', <<"END");
echo "apt-get \$*" >> $dir/calls
case " \$* " in
    *" -s "*) cat $dir/plan ;;
    *" install "*)
        $policy nginx start; echo "policy=\$?" >> $dir/calls
        echo 'half-configured curl' >> $dir/packages
        touch $dir/installing
        . $dir/then ;;
esac
END

delete @ENV{qw(SETUP DEB_RULES_REQUIRES_ROOT DH_INTERNAL_OPTIONS CC
    RPM_BUILD_ROOT RPM_PACKAGE_NAME)};

# What the survey looks for in /usr and is not on this machine is missing too.
my @beside = map { /^  (\S+): / } split /\n/,
    qx{PATH=$bin $top/build/setup --list 2>&1};
plan skip_all => 'a place outside of a package build missing' if !@beside;
@beside = grep !/^curl$/, @beside;

sub reset_machine {
    my (%how) = @_;
    unlink map "$dir/$_", qw(systemctl calls installing);
    unlink $policy, "$policy.before-fastcgi-ng", "$bin/curl";
    spew("$dir/packages", "installed bash\nnot-installed curl\n"
        . "config-files old\n");
    spew("$dir/plan", $how{plan} // "Inst curl (1)\n");
    spew("$dir/then", $how{then} // "ln -s sh $bin/curl\n");
    return if !defined $how{policy};
    spew($policy, $how{policy});
    chmod 0755, $policy;
}

my %env = (PATH => $bin, FCNG_SETUP_SBIN => $sbin, TMPDIR => $dir);

sub outcome {
    my ($more, @command) = @_;
    my %all = (%env, %$more);
    my $pid = open my $pipe, '-|';
    if (!$pid) {
        @ENV{keys %all} = values %all;
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec @command or POSIX::_exit(127);
    }
    local $/;
    my $said = <$pipe> // '';
    close $pipe;
    return ($said, $? >> 8);
}
sub setup { my $more = ref $_[0] ? shift : {};
    return outcome($more, "$top/build/setup", @_) }
sub calls { slurp("$dir/calls") }

my $operators = "#!/bin/sh\nexit 42\n";

sub as_before {
    my ($how) = @_;
    is(slurp($policy), $operators, "$how: the operator's policy-rc.d is back");
    ok(!-e "$policy.before-fastcgi-ng", "$how: and nothing beside it");
}

SKIP: {
    skip "@beside missing here", 1 if @beside;
    pass('nothing but curl is missing');
}

# ---- root -----------------------------------------------------------------

reset_machine(policy => $operators);
my ($said, $code) = setup('--list');
like($said, qr/^setup: missing on this machine:\n(?:  .*\n)*  curl: tests/,
    '--list tells what is missing');
is($code, 1, '--list: exit code');
is(calls(), '', '--list installs nothing');

($said, $code) = setup();
like(calls(), qr/ install --no-install-recommends (?:\S+ )*curl\b/,
    'root: installs');
like(calls(), qr/^policy=101$/m, 'root: no service may start meanwhile');
is(slurp("$dir/systemctl"), "--no-reload disable curl.service\n",
    'root: nor with the machine; others are left alone');
as_before('root');
is($code, @beside ? 1 : 0, 'root: exit code');

reset_machine();
setup();
ok(!-e $policy, 'without a policy-rc.d there is none afterwards');

# Half done is done as far as services are concerned.
reset_machine(policy => $operators, then => "exit 100\n");
($said, $code) = setup();
is($code, 1, 'apt fails: exit code');
like($said, qr/^setup: apt-get install failed$/m, 'apt fails: it is told');
as_before('apt fails');
is(slurp("$dir/systemctl"), "--no-reload disable curl.service\n",
    'apt fails: the service stays off');
is((setup('--quiet'))[1], 0, 'apt fails: no error with --quiet');

for (['INT', 130], ['TERM', 143], ['HUP', 129]) {
    my ($signal, $wanted) = @$_;
    reset_machine(policy => $operators,
        then => "while test ! -e $dir/go; do sleep 0.05; done\n");
    unlink "$dir/go";
    my $pid = spawn({ env => \%env, log => "$dir/log" }, "$top/build/setup");
    ok(wait_until(20, sub { -e "$dir/installing" }), "$signal: apt works")
        or diag(slurp("$dir/log"));
    is(system($policy) >> 8, 42, "$signal: others have the operator's answer");
    kill $signal => $pid;
    spew("$dir/go", '');
    ok(wait_until(20, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }),
        "$signal: it ends");
    is($? >> 8, $wanted, "$signal: exit code");
    FCNG::Util::dismiss($pid);
    as_before($signal);
    is(slurp("$dir/systemctl"), "--no-reload disable curl.service\n",
        "$signal: the service stays off");
}

# What a killed run left goes with the next.
reset_machine(policy => "#!/bin/sh\n# fastcgi-ng's build/setup; gone\n");
spew("$policy.before-fastcgi-ng", $operators);
setup();
as_before('after a killed run');

for my $plan ("Remv apache2 [2.4]\nInst curl (1)\n",
    "Inst nginx [1.22.1-9] (1.22.1-10)\n") {
    reset_machine(policy => $operators, plan => $plan);
    ($said, $code) = setup();
    is($code, 1, 'a plan that changes servers: exit code');
    like($said, qr/would change what is on this machine/, '... it is told');
    unlike(calls(), qr/^policy=/m, '... nothing is installed');
    as_before('... ');
}

# ---- an ordinary user -----------------------------------------------------

my %user = (FAKE_UID => 1000);
reset_machine();
($said, $code) = setup(\%user, '--nginx-source');
like($said, qr{^setup: as root: \Q$top\E/build/setup --nginx-source$}m,
    'no terminal: the one command to type');
is(calls() =~ /install/, '', 'no terminal: nothing is installed');
is($code, 1, 'no terminal: exit code');

my $script = find_tool('script');
SKIP: {
    skip 'script missing', 5 if !$script;
    for my $answer ('y', 'n') {
        reset_machine();
        my $command = join ' ', (map "$_=$env{$_}", sort keys %env),
            "FAKE_UID=1000 $top/build/setup --deb";
        open my $keys, '|-', 'sh', '-c', 'exec "$@" >/dev/null', 'sh', $script,
            '-q', '-f', '-c', "env $command", "$dir/screen" or die "script: $!\n";
        $keys->autoflush;
        wait_until(20, sub { slurp("$dir/screen") =~ /\[y\/N\]/ });
        print $keys "$answer\n";
        close $keys;
        $said = slurp("$dir/screen");
        like($said, qr/install them now with sudo\? \[y\/N\]/,
            "a terminal: it asks ($answer)");
        if ($answer eq 'y') {
            like(calls(), qr{^sudo env .*/build/setup --deb$}m,
                'yes: as root');
            like(calls(), qr/ install .*curl/, 'yes: it installs');
        }
        else {
            unlike(calls(), qr/sudo|install/, 'no: nothing is installed');
            like($said, qr{as root: \S+/build/setup --deb\r?$}m,
                'no: the command to type');
        }
    }
}

# ---- nothing at all -------------------------------------------------------

reset_machine();
is_deeply([setup({ SETUP => 'no' })], ['', 0], 'SETUP=no: not a word');
for my $variable (qw(DEB_RULES_REQUIRES_ROOT DH_INTERNAL_OPTIONS
    RPM_BUILD_ROOT RPM_PACKAGE_NAME)) {
    is_deeply([setup({ $variable => 'x' })], ['', 0],
        "nothing in a package build ($variable)");
}
for my $tool (qw(dpkg-buildpackage rpmbuild makepkg)) {
    spew("$dir/$tool", "#!/bin/sh\n$top/build/setup\necho inner=\$?\n");
    chmod 0755, "$dir/$tool";
    is_deeply([outcome({}, "$dir/$tool")], ["inner=0\n", 0],
        "nothing below $tool");
}
is(calls(), '', 'nothing was installed');

symlink 'sh', "$bin/curl";
SKIP: {
    skip "@beside missing here", 2 if @beside;
    is_deeply([setup('--quiet')], ['', 0], '--quiet: nothing missing, no word');
    is_deeply([setup()], ["setup: nothing is missing\n", 0], 'told otherwise');
}

done_testing();
