# SPDX-License-Identifier: BSD-2-Clause
#
# All three roles on connections that requests share: questions to an
# Authorizer and what they guard, files through a Filter, STDERR of each
# request under its own name.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(random_bytes spew);
use Test::More;

my $type = "Content-Type: text/plain\r\n\r\n";

# Each request waits for a gate, so that all are under way together.
sub serve {
    my ($r) = @_;
    my ($what) = ($r->env('REQUEST_URI') // '') =~ m{([^/]*)$};
    return $r->at('go', sub {
        $r->err("complaint of $what\n");
        $r->queue($type . ($what =~ /^slow/ ? 'y' x 2_000_000 : '')
            . join ' ', $what, map { $r->env($_) // '-' } qw(WHO));
        $r->finish;
    }) if $r->{role} == 1;
    return $r->at('file', sub {
        $r->queue($type . uc $r->data);
        $r->finish;
    }) if $r->{role} == 3;
    return $r->at('ask', sub {
        $r->queue($what =~ /^no/
            ? "Status: 403\r\n$type" . "$what may not"
            : "Status: 200\r\nVariable-WHO: $what\r\n\r\n");
        $r->finish;
    });
}

sub send_all {
    my ($host, @paths) = @_;
    return map {
        my $client = $host->client;
        $client->send(FCNG::HTTP::head('GET', $_));
        $client;
    } @paths;
}

sub answers {
    my @clients = @_;
    my @all = map { $_->response(seconds => 20) } @clients;
    $_->close for @clients;
    return @all;
}

FCNG::Hosts->each(can => 'multiplexes', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(multiplex => \&serve);
    my %words = (multiplex => 'on');
    # What the place says holds for its authorizer as well.
    $host->location('/app/', app => $app, protect => $app, pool => \%words);
    $host->file_filter('/md/', app => $app, pool => \%words);
    $host->status_at('/status');
    $host->expect(qr/FCNG011/);
    my $dir = $host->docroot . '/md';
    mkdir $dir;
    my %file = map { ("f$_.md" => random_bytes(700_000 + $_, "file $_")) }
        1 .. 5;
    spew("$dir/$_", $file{$_}) for keys %file;
    $host->start;

    # ---- an Authorizer and a Responder ----

    my @names = map { ("yes$_", "no$_") } 1 .. 4;
    my @clients = send_all($host, map { "/app/$_" } @names);
    ok($app->wait_event('request', count => 8), 'eight questions');
    is(($app->counts)[0], 1, 'on one connection');
    $app->open_gate('ask');
    ok($app->wait_event('request', count => 12),
        'of which four are granted');
    is(($app->counts)[0], 1, 'which their requests share');
    is($host->status->{ $app->address }{streams}, 4, 'four streams');
    $app->open_gate('go');
    my @got = answers(@clients);
    for my $n (0 .. $#names) {
        my $name = $names[$n];
        my $want = $name =~ /^yes/ ? [200, "$name $name"]
            : [403, "$name may not"];
        is_deeply([@{ $got[$n] }{qw(status body)}], $want, $name);
    }
    for my $name (grep { /^yes/ } @names) {
        like($host->wait_log(qr{complaint of $name\b}) // '',
            qr{FCNG011.*complaint of $name\b(?:.*request: "GET /app/$name )?},
            "$name: its line");
    }
    is(scalar(() = $host->log =~ /complaint of no/g), 0, 'and no other');

    # ---- files ----

    my @files = sort keys %file;
    $app->forget;
    my ($before) = $app->counts;
    @clients = send_all($host, map { "/md/$_" } @files);
    ok($app->wait_event('request', count => 5), 'five files');
    cmp_ok(($app->counts)[0] - $before, '<=', 1, 'on one connection');
    $app->open_gate('file');
    @got = answers(@clients);
    is(sha256_hex($got[$_]{body}), sha256_hex(uc $file{ $files[$_] }),
        "$files[$_] whole") for 0 .. $#files;

    # ---- a client that leaves while it is asked ----

    $app->close_gate('ask')->forget;
    my ($leaver) = send_all($host, '/app/yes-leaver');
    ok($app->wait_event('request'), 'a question');
    $leaver->close;
    my $abort = $app->wait_event('abort');
    ok($abort, 'its client leaves: ABORT_REQUEST');
    $app->open_gate('ask');
    is($host->get('/app/yes')->{body}, 'yes yes', 'the next one');
});
