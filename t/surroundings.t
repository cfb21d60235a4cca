# SPDX-License-Identifier: BSD-2-Clause
#
# Broken surroundings: an application that is missing, shut off, too busy or
# no FastCGI application at all.  Each request gets the status that fits and
# one line at level error that names address, request, cause and cure; nginx
# adds its own "upstream timed out" to what took too long.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(tmpdir spew free_port find_tool run_bounded server_user
    wait_until);
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);
use Test::More;
use Time::HiRes qw(time);

# Connects until no more fit into the queue; returns what must stay open.
sub fill_queue {
    my ($app) = @_;
    my @open;
    for (1 .. 64) {
        my $socket = $app->{listen} eq 'unix'
            ? IO::Socket::UNIX->new(Type => SOCK_STREAM,
                Peer => $app->path, Timeout => 0.2)
            : IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                PeerPort => $app->{port}, Proto => 'tcp', Timeout => 0.2);
        last if !$socket;
        push @open, $socket;
    }
    return @open;
}

sub full {
    my ($listen, $backlog) = @_;
    my $app = FCNG::App->new(accept => 0, listen => $listen,
        backlog => $backlog);
    $app->{filled} = [fill_queue($app)];
    return $app;
}

# A program that answers any bytes with its own.
sub stranger {
    my ($bytes) = @_;
    return FCNG::App->new(listen => 'tcp', connection => sub {
        my ($c) = @_;
        $c->fill(5);
        $c->send($bytes);
    });
}

sub stale_socket {
    my $path = tmpdir() . '/app.sock';
    IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $path, Listen => 1);
    chmod 0777, $path;
    return "unix:$path";
}

sub plain_file {
    my $path = spew(tmpdir() . '/app.sock', 'x');
    chmod 0666, $path;
    return "unix:$path";
}

my $user = server_user();
my $denied = 'failed (13: Permission denied): ';
my $refused = 'failed (111: Connection refused): ';

# says: what stands in the line, "..." for anything.
my @places = (
    { name => 'mode',
        what => 'a socket whose mode denies',
        app => sub { FCNG::App->new(mode => 0, request => sub { }) },
        says => "${denied}the socket is ... 0000, this process is $user: let"
            . ' it write to the socket (php-fpm: listen.owner...' },
    { name => 'folder',
        what => 'a socket in a folder that is closed',
        app => sub {
            my $app = FCNG::App->new(request => sub { });
            chmod 0, $app->{dir};
            return $app;
        },
        after => sub { chmod 0755, $_[0]{dir} },
        says => "${denied}it may not look into a folder on the way to the"
            . ' socket; give it the right to (chmod o+x)' },
    { name => 'missing',
        what => 'a socket that is not there',
        address => sub { 'unix:' . tmpdir() . '/app.sock' },
        says => 'failed (2: No such file or directory): there is no such'
            . ' socket; start the application or correct the path' },
    { name => 'file',
        what => 'a path that is no socket',
        address => \&plain_file,
        says => "${refused}this path is no socket ...; write the path that"
            . ' the application listens on' },
    { name => 'stale',
        what => 'a socket on which nobody listens',
        address => \&stale_socket,
        says => "${refused}the socket is there but nobody listens on it;"
            . ' start the application' },
    { name => 'port',
        what => 'a port on which nobody listens',
        address => sub { '127.0.0.1:' . free_port() },
        says => "${refused}nobody listens on this address and port; start"
            . ' the application or correct the address' },
    { name => 'backlog',
        what => 'a socket whose queue is full',
        app => sub { full('unix', 1) },
        options => { connect_timeout => '500ms' },
        waits => [0.4, 4],
        status => { nginx => 504, apache => 503 },
        says => 'failed (11: Resource temporarily unavailable): the queue of'
            . " the application's socket is full: ...more processes (php-fpm:"
            . ' pm.max_children)' },
    { name => 'slow',
        what => 'a port that takes no connection',
        app => sub { full('tcp', 0) },
        options => { connect_timeout => '500ms' },
        waits => [0.4, 4],
        status => { nginx => 504, apache => 503 },
        says => 'timed out...: the host does not answer; it is down or a'
            . ' packet filter drops what is sent to it' },
    { name => 'http',
        what => 'an HTTP server on the port',
        app => sub { stranger("HTTP/1.1 400 Bad Request\r\n\r\n") },
        status => { nginx => 502, apache => 502 },
        says => 'an HTTP server answers at this address; use its FastCGI'
            . ' address, or proxy to it as HTTP' },
    { name => 'tls',
        what => 'a TLS server on the port',
        app => sub { stranger("\x15\x03\x03\x00\x02\x02\x32") },
        status => { nginx => 502, apache => 502 },
        says => 'a TLS server answers at this address; FastCGI goes over'
            . " plain connections, use the application's own port" },
    { name => 'cgi',
        what => 'a program that writes plain CGI output',
        app => sub { stranger("Content-Type: text/plain\r\n\r\nHello") },
        status => { nginx => 502, apache => 502 },
        says => 'the application writes plain CGI output to its connection;'
            . ' it must speak FastCGI (or be run by a CGI wrapper' },
    { name => 'closes',
        what => 'an application that closes at once',
        app => sub { FCNG::App->new(connection => sub { $_[0]->close }) },
        status => { nginx => 502, apache => 502 },
        says => 'FCNG004...the application closed the connection before'
            . ' END_REQUEST, before the response: it crashed, was killed or'
            . ' took too long, or is no FastCGI application; look into its own'
            . ' log (php-fpm: request_terminate_timeout' },
    { name => 'others',
        what => 'an application that serves others',
        app => sub { FCNG::App->new(listen => 'tcp',
            connection => sub { $_[0]->close }) },
        status => { nginx => 502, apache => 502 },
        says => 'FCNG004...the application closed the connection...or serves'
            . ' other addresses only (php-fpm: listen.allowed_clients;'
            . ' FCGI_WEB_SERVER_ADDRS); look into its own log' },
);

sub pattern {
    my ($text) = @_;
    my $pattern = join '.*', map { quotemeta } split /\.\.\./, $text, -1;
    return qr/$pattern/;
}

sub errors {
    my ($host) = @_;
    return grep { /[\[:](?:error|crit|alert|emerg)\]/
        && !/: \*\d+ upstream timed out \(110:/ } split /\n/, $host->new_log;
}

sub check {
    my ($host, $place, $address) = @_;
    my ($name, $what) = @$place{qw(name what)};
    my $status = ($place->{status}
        || { nginx => 502, apache => 503 })->{$host->name};
    my $says = pattern($place->{says});
    $host->mark_log;
    my $from = time;
    my $r = $host->get("/$name/page", seconds => 10);
    my $took = time - $from;
    is($r->{status}, $status, "$what: $status");
    my ($least, $most) = @{ $place->{waits} || [0, 3] };
    ok($took >= $least && $took <= $most, "$what: answered in time")
        or diag("$took s");
    $host->wait_log($says);
    my @lines = errors($host);
    ok(@lines == 1 && $lines[0] =~ $says, "$what: one line, cause and cure")
        or diag("wanted $says\n", map { "$_\n" } @lines);
    my $line = $lines[0] // '';
    ok($line =~ /\Q$address\E/ && $line =~ m{"GET /$name/page},
        "$what: the line has address and request") or diag($line);
    unlike($r->{body}, qr/\Q$address\E/, "$what: the client learns nothing");
}

# The worker may open one descriptor, that of the client.
sub starve {
    my ($pid) = @_;
    my $tool = find_tool('prlimit') or return;
    my $limit = 0;
    $limit++ while -l "/proc/$pid/fd/$limit";
    $limit++;
    my ($rc) = run_bounded(5, $tool, '--pid', $pid, "--nofile=$limit:");
    return !$rc;
}

sub feed {
    my ($pid) = @_;
    run_bounded(5, find_tool('prlimit'), '--pid', $pid, '--nofile=1024:');
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my (%address, %app);
    for my $place (@places) {
        my $name = $place->{name};
        $app{$name} = $place->{app}->() if $place->{app};
        $address{$name} = $app{$name} ? $app{$name}->address
            : $place->{address}->();
        $host->location("/$name/", address => $address{$name},
            options => $place->{options});
    }
    my $good = FCNG::App->new(request => sub { $_[0]->text('ok') });
    $host->location('/good/', app => $good, pool => { max_idle => 0 });
    # The levels of nginx for these.
    $host->expect(qr/\[crit\].*connect\(\) to unix:/,
        qr/\[(?:alert|crit)\].*no file descriptor is left/);
    $host->start;

    for my $place (@places) {
        my $name = $place->{name};
        check($host, $place, $address{$name});
        $place->{after}->($app{$name}) if $place->{after};
    }
    is($host->get('/good/x')->{status}, 200, 'others are served all along');

    SKIP: {
        # Apache has a process for CGI scripts as well: ours is the one that
        # listens.
        my ($worker) = sort { my @a = glob "/proc/$a/fd/*";
            my @b = glob "/proc/$b/fd/*"; @b <=> @a } $host->workers;
        wait_until(5, sub { !$host->excess });
        starve($worker) or skip 'prlimit missing', 6;
        check($host, { name => 'good', what => 'no descriptor left',
            says => 'no file descriptor is left; raise the limit (nginx:'
                . ' worker_rlimit_nofile; systemd: LimitNOFILE' },
            $good->address);
        feed($worker);
        is($host->get('/good/x')->{status}, 200,
            'and served again when there are some');
    }
});
