# SPDX-License-Identifier: BSD-2-Clause
#
# Applications on three other hosts, which are network namespaces here: one is
# cut off under load, first by its cable, then because nobody listens, and a
# name moves to another host.  No request that may be repeated fails.
use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Util qw(find_tool wait_until spawn spew tmpdir run_bounded top
    slurp);
use File::Basename qw(dirname);
use Test::More;
use Time::HiRes qw(sleep time);


my %tool = map { $_ => find_tool($_) } qw(unshare nsenter ip mount);
for my $name (sort keys %tool) {
    plan skip_all => "$name missing" if !$tool{$name};
}
plan skip_all => 'root missing' if $> != 0;
if (!$ENV{FCNG_IN_NETNS}) {
    # A network and mounts of our own: nothing outlives the test.
    my ($exit) = run_bounded(10, $tool{unshare}, '--net', '--mount', 'true');
    plan skip_all => 'network namespaces missing' if $exit;
    $ENV{FCNG_IN_NETNS} = 1;
    exec $tool{unshare}, '--net', '--mount', $^X, '-It/lib', $0
        or die "unshare: $!\n";
}

sub run {
    my ($exit, $out, $err) = run_bounded(10, @_);
    die "@_: $err\n" if $exit;
    return $out;
}

sub net { readlink "/proc/$_[0]/ns/net" }

# A host behind a cable: each has a network of its own, as its kernel may
# take a while to forget the one before.
my $networks = 0;

sub remote {
    my ($name) = @_;
    my $n = ++$networks;
    my $self = { name => $name, address => "10.231.$n.2", link => "v$n" };
    $self->{pid} = spawn({}, $tool{unshare}, '--net', 'sleep', 600);
    my $ours = net($$);
    wait_until(5, sub { (net($self->{pid}) // $ours) ne $ours })
        or die "no namespace\n";
    run($tool{ip}, qw(link add), "v$n", qw(type veth peer name e0 netns),
        $self->{pid});
    run($tool{ip}, qw(addr add), "10.231.$n.1/24", 'dev', "v$n");
    run($tool{ip}, qw(link set), "v$n", 'up');
    inside($self, $tool{ip}, @$_) for [qw(link set lo up)],
        [qw(addr add), "$self->{address}/24", qw(dev e0)],
        [qw(link set e0 up)];
    return start($self);
}

sub inside {
    my ($self, @command) = @_;
    return run($tool{nsenter}, '-t', $self->{pid}, '-n', @command);
}

my $program = <<'PERL';
use FCNG::App;
my ($host, $name) = @ARGV;
my $app = FCNG::App->new(listen => 'tcp', host => $host, port => 9000,
    quiet => 1, request => sub {
        select undef, undef, undef, 0.005;
        $_[0]->text("host $name");
    });
sleep;
PERL

sub start {
    my ($self) = @_;
    $self->{app} = spawn({ log => tmpdir() . '/log' },
        $tool{nsenter}, '-t', $self->{pid}, '-n', $^X,
        '-I' . top() . '/t/lib', '-e', $program, $self->{address},
        $self->{name});
    wait_until(10, sub {
        IO::Socket::INET->new(PeerAddr => $self->{address},
            PeerPort => 9000, Timeout => 1);
    }) or die "host $self->{name} does not listen\n";
    return $self;
}

sub stop { FCNG::Util::end_child($_[0]{app}, 'TERM') }
sub cable { inside($_[0], $tool{ip}, qw(link set e0), $_[1]) }

my $names = tmpdir() . '/hosts';

sub name_is { spew($names, "127.0.0.1 localhost\n$_[0]{address} app.test\n") }

# Who answers, of so many requests.
sub answers {
    my ($host, $path, $times) = @_;
    my %by;
    $by{$host->get($path, seconds => 10)->{body} // ''}++ for 1 .. $times;
    return \%by;
}

run($tool{ip}, qw(link set lo up));
my $etc = '/etc/hosts';
if (!-e $etc) {
    # A folder of packages alone has none: all of /etc is ours then.
    my $dir = tmpdir();
    run('cp', '-a', '/etc/.', $dir);
    chmod 0755, $dir;
    $names = "$dir/hosts";
    $etc = '/etc';
}
spew($names, '');
chmod 0644, $names;
run($tool{mount}, '--bind', $etc eq '/etc' ? dirname($names) : $names, $etc);
$ENV{TMPDIR} ||= '/tmp';

FCNG::Hosts->each(workers => 2, sub {
    my ($host) = @_;
    my @remote = map { remote($_) } 1 .. 3;
    name_is($remote[0]);
    my %quick = (connect_timeout => '300ms', read_timeout => '2s');
    $host->location('/app/', apps => [map { "$_->{address}:9000" } @remote],
        $host->is_nginx ? () : (pool => { fail_timeout => '500ms' }),
        server => 'fail_timeout=1s', options => \%quick);
    # Each process knows the name before it moves.
    $host->location('/name/', address => 'app.test:9000',
        pool => { max_idle => 0 }, options => \%quick);
    $host->start;
    is(join(' ', sort keys %{ answers($host, '/app/x', 12) }),
        'host 1 host 2 host 3', 'three hosts serve');
    is(join(' ', keys %{ answers($host, '/name/x', 20) }), 'host 1',
        'a name leads to one of them');

    my $port = $host->port;
    my $load = FCNG::Load->start(12, sub {
        my $r = FCNG::HTTP::get($port, '/app/x', seconds => 10);
        return $r->{status} == 200 ? ''
            : "status $r->{status} " . ($r->{error} // '');
    });
    $load->more(100);
    cable($remote[1], 'down');
    ok($load->more(300), 'the cable of one is pulled: others serve on');
    sleep 2;
    ok($load->more(300), 'later, too');
    stop($remote[1]);
    cable($remote[1], 'up');
    sleep 1;
    ok($load->more(300), 'it comes back without the application');
    start($remote[1]);
    ok(wait_until(10, sub { answers($host, '/app/x', 6)->{'host 2'} }),
        'and with it: it serves again');
    $load->more(100);
    my ($count, @faults) = $load->stop;
    is(join(', ', @faults), '', "$count requests, none failed");

    # The name's host goes away; the name moves.
    stop($remote[0]);
    name_is($remote[2]);
    # nginx reads names with its configuration (t/nginx-names.t: a resolver).
    $host->reload if $host->is_nginx;
    is(join(' ', keys %{ answers($host, '/name/x', 8) }), 'host 3',
        'a name that has moved is asked anew');
});
