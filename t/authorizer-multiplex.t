# SPDX-License-Identifier: BSD-2-Clause
#
# Authorizers that share a connection, with each other and with the Responder
# of the same application: answers and variables are not mixed up, a large
# denial keeps nobody from his, who leaves or waits in vain does so alone, and
# a connection that breaks grants nothing.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;

my $large = random_bytes(3_000_000, 'denial');

# The last part of the path: what the authorizer does, and a name.
sub serve {
    my ($r) = @_;
    my ($do, $name) = $r->env('REQUEST_URI') =~ m{/(\w+)\.(\w+)$};
    return $r->text(($r->env('TEAM') // '-') . " $name") if $r->{role} == 1;
    my $grant = "Status: 200\r\nVariable-TEAM: of-$name\r\n\r\n";
    if ($do eq 'large') {
        $r->queue("Status: 403\r\nContent-Type: x/y\r\n\r\n$large");
        return $r->finish;
    }
    return $r->answer("Status: 403\r\n\r\ndenied $name") if $do eq 'deny';
    return $r->at('go', sub { $r->answer($grant) }) if $do eq 'held';
    return $r->at('go', sub { $r->answer("Status: 401\r\n\r\nwho, $name?") })
        if $do eq 'who';
    return $r->note('silent', id => $r->{id}) if $do eq 'silent';
    # The head of a grant, and no end of it.
    if ($do eq 'part') {
        $r->out($grant);
        $r->note('cut waits');
        return $r->at('cut', sub { $r->conn->close });
    }
    return $r->answer($grant);
}

sub send_all {
    my ($host, @paths) = @_;
    return map { my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', $_)); $client } @paths;
}

sub answers {
    my @clients = @_;
    my @all = map { my $r = $_->response(seconds => 15);
        "$r->{status} $r->{body}" } @clients;
    $_->close for @clients;
    return @all;
}

FCNG::Hosts->each(needs => 'protect', can => 'multiplexes', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(multiplex => \&serve);
    my %pool = (pool => { multiplex => 'on' });
    $host->location('/app/', app => $app, protect => $app, %pool,
        nginx => "fastcgi_ng_authorizer_read_timeout 2s;\n",
        apache => "FastCgiNgAuthorizerReadTimeout 2s\n");
    $host->location('/auto/', app => $app, protect => $app,
        pool => { multiplex => 'auto' });
    $host->expect(qr/FCNG0/, qr/upstream timed out/);
    $host->start;

    # ---- several at once
    my @names = map { "n$_" } 1 .. 8;
    my @clients = send_all($host, map { ("/app/held.$_", "/app/who.$_") }
        @names);
    ok($app->wait_event('request', count => 16), 'sixteen questions');
    is(($app->counts)[0], 1, 'on one connection');
    my %ids = map { $_->{id} => 1 } $app->events('request');
    is(scalar keys %ids, 16, 'with ids of their own');
    is(scalar(grep { $_->{role} != 2 } $app->events('request')), 0,
        'in the role of an Authorizer');
    is(join(' | ', answers(send_all($host, '/app/grant.x', '/app/deny.y'))),
        '200 of-x x | 403 denied y', 'others are answered meanwhile');
    $app->open_gate('go');
    is(join(' | ', answers(@clients)), join(' | ', map {
        ("200 of-$_ $_", "401 who, $_?") } @names), 'each has its own');
    is(($app->counts)[0], 1, 'all on that connection, Responder and all');

    # ---- a large denial beside small ones
    @clients = send_all($host, '/app/large.a', '/app/large.b',
        map { ("/app/grant.$_") } @names);
    my @got = answers(@clients);
    is(join(' ', map { sha256_hex($_) } @got[0, 1]),
        join(' ', (sha256_hex("403 $large")) x 2), 'large denials');
    is(join(' | ', @got[2 .. $#got]), join(' | ', map { ("200 of-$_ $_") }
        @names), 'beside grants');

    # ---- who leaves, who waits in vain
    my ($leaver) = send_all($host, '/app/silent.l');
    my $asked = $app->wait_event('silent');
    $leaver->close;
    my $gone = $app->wait_event('abort');
    is($gone && $gone->{id}, $asked->{id}, 'a client leaves: ABORT_REQUEST');
    my ($waits) = send_all($host, '/app/silent.s');
    sleep 1;
    is(join('', answers(send_all($host, '/app/grant.g'))), '200 of-g g',
        'a grant while one waits in vain');
    like(join('', answers($waits)), qr/^504 /, 'whose time-out is its own');
    is(join('', answers(send_all($host, '/app/grant.h'))), '200 of-h h',
        'and keeps nobody');
    is(($app->counts)[1], 0, 'from that connection');

    # ---- it breaks
    @clients = send_all($host, '/app/part.p', '/app/silent.q');
    ok($app->wait_event('cut waits'), 'half an answer');
    $app->open_gate('cut');
    @got = answers(@clients);
    like($got[0], qr/^502 /, 'and the connection is closed: denied');
    like($got[1], qr/^50[24] /, 'who has no answer at all: so too');
    is(join('', answers(send_all($host, '/app/grant.z'))), '200 of-z z',
        'and all is well afterwards');

    # ---- multiplex=auto
    is(join('', answers(send_all($host, "/auto/grant.$_"))),
        "200 of-$_ $_", "multiplex=auto, $_") for 1 .. 3;
});
