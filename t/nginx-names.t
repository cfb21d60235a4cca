# SPDX-License-Identifier: BSD-2-Clause
#
# fastcgi_ng_pass with variables: addresses, sockets, names of upstream{}
# blocks, and names that the resolver looks up for each request.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(spawn free_port wait_until tmpdir slurp);
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);

# A name server on |port| that writes what it is asked to |log|.  Names say
# what they stand for: a-127-0-0-1.test, with several addresses by "--";
# "silent" gets no answer, "late" one after a moment, all others do not exist.
sub name_server {
    my ($port, $log) = @_;
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Proto => 'udp') or die "port $port: $!\n";
    my $pid = fork // die "fork: $!\n";
    if ($pid) {
        FCNG::Util::adopt($pid);
        return $pid;
    }
    FCNG::Util::close_kept(-1);
    $SIG{TERM} = 'DEFAULT';
    while ($socket->recv(my $query, 512)) {
        my ($id, $rest) = unpack 'n x2 x8 a*', $query;
        my ($at, @labels) = (0);
        while (my $n = ord substr $rest, $at, 1) {
            push @labels, substr $rest, $at + 1, $n;
            $at += 1 + $n;
        }
        my $question = substr $rest, 0, $at + 5;
        my $type = unpack 'n', substr $rest, $at + 1, 2;
        my $name = join '.', @labels;
        open my $out, '>>', $log;
        print $out "$name $type\n";
        close $out;
        next if $name =~ /^silent/;
        sleep 0.2 if $name =~ /^late/ && $type == 1;
        my @addresses = $type == 1 && $name =~ /^(?:late-)?a-([\d-]+)\.test$/
            ? map { join '.', split /-/ } split /--/, $1 : ();
        my $known = $name =~ /^(?:late-)?a-/;
        my $reply = pack('nnnnnn', $id, 0x8180 | ($known ? 0 : 3), 1,
            scalar @addresses, 0, 0) . $question;
        $reply .= pack('nnnNn', 0xc00c, 1, 1, 60, 4)
            . pack 'C4', split /\./ for @addresses;
        $socket->send($reply);
    }
    POSIX::_exit(0);
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $answer = sub {
        my ($r) = @_;
        sleep 0.2 if ($r->env('QUERY_STRING') // '') eq 'slow';
        $r->text('ok');
    };
    my $tcp = FCNG::App->new(listen => 'tcp', request => $answer);
    my $unix = FCNG::App->new(request => $answer);
    push @{ $host->{apps} }, $tcp, $unix;
    my $dns = free_port();
    my $asked = tmpdir() . '/asked';
    name_server($dns, $asked);
    $host->main(nginx => "upstream group {\nserver " . $unix->address
        . ";\nfastcgi_ng_pool max_connections=1 max_queue=0;\n}\n");
    my ($port, $socket) = ($tcp->{port}, $unix->address);
    $host->server(nginx => <<"NGINX");
location /address { set \$a 127.0.0.1:$port; fastcgi_ng_pass \$a; }
location /socket { set \$a $socket; fastcgi_ng_pass \$a; }
location /group { set \$a group; fastcgi_ng_pass \$a; }
location /empty { set \$a ""; fastcgi_ng_pass \$a; }
location /noport { set \$a 127.0.0.1; fastcgi_ng_pass \$a; }
location ~ ^/name/(?<n>[^/]+) {
    resolver 127.0.0.1:$dns valid=30s;
    resolver_timeout 500ms;
    fastcgi_ng_connect_timeout 500ms;
    fastcgi_ng_pass \$n:$port;
}
location ~ ^/plain/(?<n>[^/]+) { fastcgi_ng_pass \$n:$port; }
NGINX
    $host->start;
    # The resolver's own socket stays open.
    is($host->get('/name/a-127-0-0-1.test')->{status}, 200, 'a first name');
    $host->baseline;

    my $client = $host->client;
    for my $path (qw(/address /socket /group)) {
        my ($app) = $path eq '/address' ? $tcp : $unix;
        my ($before) = $app->counts;
        is($client->request_on('GET', $path)->{body}, 'ok', "$path, $_")
            for 1 .. 5;
        my ($after) = $app->counts;
        cmp_ok($after - $before, '<=', 1, "$path: on one kept connection")
            if $path ne '/group';
    }
    # The words of upstream{} count for a name that comes from a variable.
    my @clients = map { $host->client } 1 .. 3;
    $_->send(FCNG::HTTP::head('GET', '/group?slow')) for @clients;
    my %status;
    $status{$_->response(seconds => 5)->{status}}++ for @clients;
    $_->close for @clients;
    is("$status{200} $status{503}", '1 2', 'with the pool of its upstream{}');

    my $name = 'late-a-127-0-0-1.test';
    is($client->request_on('GET', "/name/$name")->{body}, 'ok',
        "a name that is looked up, $_") for 1 .. 5;
    is(scalar(grep { $_ eq "$name 1" } split /\n/, slurp($asked)), 1,
        'asked for once');
    # Nobody listens on the first of them, or on the second.
    for my $list ('127-9-9-9--127-0-0-1', '127-0-0-1--127-9-9-9') {
        is($host->get("/name/a-$list.test")->{status}, 200,
            "several addresses, $_") for 1 .. 4;
    }
    @clients = map { $host->client } 1 .. 10;
    $_->send(FCNG::HTTP::head('GET', '/name/late-a-127-0-0-1--127-0-0-1.test',
        close => 1)) for @clients;
    is(scalar(grep { $_->response(seconds => 5)->{status} == 200 } @clients),
        10, 'ten that wait for the same name');
    $_->close for @clients;

    for my $case (
            ['/name/nosuch.test', 502,
                qr/nosuch\.test could not be resolved \(3: Host not found\)/],
            ['/name/silent.test', 502,
                qr/silent\.test could not be resolved \(110: .*timed out\)/],
            ['/plain/some.test', 502,
                qr/no resolver defined to resolve "some\.test", write "res/],
            ['/empty', 500, qr/in upstream ""/],
            ['/noport', 500, qr/no port in upstream "127\.0\.0\.1"/]) {
        my ($path, $status, $says) = @$case;
        $host->mark_log;
        my $start = time;
        my $r = $host->get($path, seconds => 5);
        is($r->{status}, $status, "$path: $status");
        cmp_ok(time - $start, '<', 2, "$path: in time");
        ok($host->wait_log($says), "$path: the log says why")
            or diag($host->new_log);
        is($client->request_on('GET', '/address')->{body}, 'ok',
            "$path: others are served");
    }
    # A client that leaves while a name is looked up.
    my $leaver = $host->client;
    $leaver->send(FCNG::HTTP::head('GET', '/name/late-a-127-0-0-2.test'));
    sleep 0.1;
    $leaver->close;
    sleep 0.5;
    is($client->request_on('GET', '/address')->{body}, 'ok', 'after a client'
        . ' that left meanwhile');
    $client->close;
});
