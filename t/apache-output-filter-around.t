# SPDX-License-Identifier: BSD-2-Clause
#
# What stands around Apache's output filter: mod_cache above it, an authorizer
# before it, its pool's limits, ranges of what it makes, other MPMs' threads.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes spew);
use Test::More;

my $large = random_bytes(700_000, 'range');

sub filter {
    my ($r) = @_;
    $r->body;
    return $r->answer("Content-Type: text/html\r\n\r\nanswer")
        if $r->{role} == 1;
    my $data = $r->data;
    return if $r->{gone};
    my $do = $r->env('QUERY_STRING') // '';
    return $r->end(0, 3) if $r->env('SCRIPT_NAME') =~ /refused/;
    return $r->text($r->env('WHO') // '-') if $do eq 'who';
    my $age = $do eq 'old' ? 0 : 60;
    my $length = $do eq 'open' ? ''
        : 'Content-Length: ' . length($data) . "\r\n";
    if ($do eq 'cut') {
        $r->out("${length}ETag: \"f\"\r\n\r\n" . substr $data, 0, 1000);
        return $r->die_now;
    }
    return $r->answer("Cache-Control: max-age=$age\r\nETag: \"f\"\r\n"
        . "${length}\r\n" . uc $data);
}

# mod_cache above the filter.
sub cached {
    my ($host, $quick) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $asked = sub { scalar $app->events('request') };
    $host->file('cache/a.html', 'a of cache');
    # So old that it would be kept for long.
    utime 1_500_000_000, 1_500_000_000,
        $host->file('cache/refused.html', 'as it was');
    mkdir $host->dir . '/cache';
    chmod 0777, $host->dir . '/cache';
    $host->main(apache => 'CacheRoot ' . $host->dir . "/cache\n"
        . "CacheEnable disk /cache/\nCacheQuickHandler $quick\n");
    $host->output_filter('/cache/', app => $app,
        options => { output_filter_on_error => 'pass' });
    $host->expect(qr/FCNG\d+:/);
    $host->start;
    for my $n (1 .. 3) {
        is($host->get('/cache/a.html')->{body}, 'A OF CACHE', "cached, $n");
    }
    is($asked->(), 1, 'asked once');
    my $r = $host->get('/cache/a.html', headers => ['If-None-Match' => '"f"']);
    is($r->{status}, 304, 'its ETag counts there');
    $r = $host->get('/cache/a.html', headers => [Range => 'bytes=0-3']);
    is("$r->{status} $r->{body}", '206 A OF', 'and ranges of it');
    is($asked->(), 1, 'still once');
    is($host->get('/cache/a.html?old')->{body}, 'A OF CACHE', 'not fresh');
    is($host->get('/cache/a.html?old')->{body}, 'A OF CACHE', 'made again');
    is($asked->(), 3, 'and asked again');
    is($host->get('/cache/refused.html')->{body}, 'as it was',
        'unfiltered') for 1 .. 2;
    is($asked->(), 5, 'which is not kept');
}

FCNG::Hosts->each(only => 'apache', load => [qw(cache cache_disk)], sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => \&filter);
    my $guard = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->body;
        return $r->answer("Status: 403\r\n\r\nno") if ($r->env('QUERY_STRING')
            // '') eq 'deny';
        return $r->answer("Status: 200\r\nVariable-WHO: alice\r\n\r\n");
    });
    my $root = $host->docroot;
    for my $dir (qw(guard range few pages)) {
        mkdir "$root/$dir";
        spew("$root/$dir/a.html", "a of $dir");
        spew("$root/$dir/large.html", $large);
    }
    $host->output_filter('/guard/', app => $app, protect => $guard);
    $host->output_filter('/range/', app => $app);
    $host->output_filter('/few/', app => $app,
        pool => { max_connections => 1 });
    $host->output_filter('/same/', app => $app,
        pool => { max_connections => 1 },
        apache => "FastCgiNgPass same\n");
    $host->server(apache => 'FastCgiNgPool same ' . $app->address
        . " max_connections=1\n");
    $host->file_filter('/pages/', app => $app);
    $host->expect(qr/FCNG\d+:|AH\d+:/);
    $host->start;

    # ---- an authorizer before
    is($host->get('/guard/a.html?who')->{body}, 'alice', 'its variables');
    is($host->get('/guard/a.html?deny')->{body}, 'no',
        'its denial is not filtered');

    # ---- ranges of what it makes
    my $upper = uc $large;
    for my $dir ('range', 'pages') {
        my $r = $host->get("/$dir/large.html",
            headers => [Range => 'bytes=300000-300099']);
        is($r->{status}, 206, "$dir: a range") or diag $host->log;
        is($r->{body}, substr($upper, 300_000, 100), 'its bytes');
        is($r->header('Content-Range'), 'bytes 300000-300099/700000',
            'of how many');
        $r = $host->get("/$dir/large.html");
        is($r->header('Accept-Ranges'), 'bytes', 'Accept-Ranges');
        ok($r->{body} eq $upper, 'all of it');
        $r = $host->get("/$dir/large.html", headers => [
            Range => 'bytes=0-9', 'If-Range' => '"g"']);
        ok("$r->{status} $r->{body}" eq "200 $upper", 'If-Range of another');
        $r = $host->get("/$dir/large.html", headers => [
            Range => 'bytes=0-9,20-29', 'If-Range' => '"f"']);
        is($r->{status}, 206, 'two of them');
        $r = $host->get("/$dir/large.html?open",
            headers => [Range => 'bytes=0-9']);
        is($r->header('Accept-Ranges'), undef, 'no length, no ranges');
        ok("$r->{status} $r->{body}" eq "200 $upper", 'but all of it');
        $r = $host->get("/$dir/large.html?cut",
            headers => [Range => 'bytes=0-9']);
        is($r->{status}, 502, 'a range of what broke off');
        $r = $host->get("/$dir/large.html",
            headers => [Range => 'bytes=900000-']);
        is($r->{status}, 416, 'beyond it');
    }

    # ---- its pool
    my @clients = map { $host->client } 1 .. 6;
    $_->send(FCNG::HTTP::head('GET', '/few/large.html',
        port => $host->port)) for @clients;
    my $whole = grep { $_->response->{body} eq $upper } @clients;
    is($whole, 6, 'six at once by one connection');
    my @same = map { $host->client } 1 .. 6;
    $_->send(FCNG::HTTP::head('GET', '/same/x', port => $host->port))
        for @same;
    is(join(' ', map { $_->response->{body} } @same),
        join(' ', ('ANSWER') x 6), 'which makes the originals, too');

    for my $quick ('on', 'off') {
        $host->another("CacheQuickHandler $quick",
            load => [qw(cache cache_disk)], sub { cached($_[0], $quick) });
    }
});
