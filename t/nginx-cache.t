# SPDX-License-Identifier: BSD-2-Clause
#
# nginx's cache in front of an application: hits and misses, HEAD, stale
# responses while the application is down or fails, one request for many that
# wait, revalidation, refreshing in the background, and what must not be kept.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until free_port);
use Test::More;
use Time::HiRes qw(sleep);

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $count = 0;
    my $app = FCNG::App->new(workers => 1, request => sub {
        my ($r) = @_;
        my $do = $r->action;
        my $n = ++$count;
        my %head = ('Cache-Control' => 'max-age=60');
        my $body = "$do $n";
        if ($do eq 'brief') { $head{'Cache-Control'} = 'max-age=1' }
        elsif ($do eq 'secret') { $head{'Cache-Control'} = 'no-store' }
        elsif ($do eq 'cookie') { $head{'Set-Cookie'} = 'a=b' }
        elsif ($do eq 'accel') {
            %head = ('X-Accel-Expires' => 60);
        }
        elsif ($do eq 'large') {
            $body .= 'x' x 200_000;
        }
        elsif ($do eq 'bighead') {
            $head{'X-Large'} = 'h' x 10_000;
        }
        elsif ($do eq 'stderr') {
            $r->err("a warning $_\n" x 50) for 1 .. 20;
        }
        elsif ($do eq 'fails') {
            return $r->answer("Status: 503\r\n\r\nsorry")
                if $r->env('QUERY_STRING') ne '' || -e "$r->{conn}{app}{dir}/gates/fail";
            $head{'Cache-Control'} = 'max-age=1';
        }
        elsif ($do eq 'etag') {
            $head{ETag} = '"one"';
            $head{'Cache-Control'} = 'max-age=1';
            $r->note('asked', with => $r->env('HTTP_IF_NONE_MATCH') // '-');
            return $r->answer("Status: 304\r\nETag: \"one\"\r\n"
                    . "Cache-Control: max-age=60\r\n\r\n")
                if ($r->env('HTTP_IF_NONE_MATCH') // '') eq '"one"';
        }
        elsif ($do eq 'vary') {
            $head{Vary} = 'Accept-Language';
            $body = $r->env('HTTP_ACCEPT_LANGUAGE') . " $n";
        }
        elsif ($do =~ /^cut/) {
            $r->out("Cache-Control: max-age=60\r\nContent-Length: 100\r\n\r\n"
                . "half $n");
            return $do eq 'cutend' ? $r->end : $r->die_now;
        }
        elsif ($do eq 'cutopen') {
            $r->out("Cache-Control: max-age=60\r\n\r\nhalf $n");
            return $r->die_now;
        }
        $r->wait_gate('go', 5) if $do eq 'slow' || $do eq 'fresh'
            && -e "$r->{conn}{app}{dir}/gates/slow";
        $head{'Cache-Control'} = 'max-age=1' if $do eq 'fresh';
        $body = '' if $r->env('REQUEST_METHOD') eq 'HEAD';
        $r->text($body, %head);
    });

    my $cache = "fastcgi_ng_cache one;\n"
        . "fastcgi_ng_cache_key \$uri\$is_args\$args;\n"
        . "add_header X-Cache \$upstream_cache_status always;\n";
    $host->main(nginx => "fastcgi_ng_cache_path " . $host->dir
        . "/tmp/cache keys_zone=one:1m;\n");
    my $at = sub {
        my ($path, $more, %how) = @_;
        $host->location($path, app => $app, nginx => "$cache$more", %how);
    };
    $at->('/c/', '');
    $at->('/stale/', "fastcgi_ng_cache_use_stale error timeout updating "
        . "http_503;\nfastcgi_ng_next_upstream error timeout http_503;\n");
    $at->('/lock/', "fastcgi_ng_cache_lock on;\n");
    $at->('/revalidate/', "fastcgi_ng_cache_revalidate on;\n");
    $at->('/background/', "fastcgi_ng_cache_use_stale updating;\n"
        . "fastcgi_ng_cache_background_update on;\n");
    $at->('/valid/', "fastcgi_ng_cache_valid 404 1m;\n"
        . "fastcgi_ng_ignore_headers Cache-Control Set-Cookie;\n"
        . "fastcgi_ng_cache_valid any 1m;\n");
    $at->('/twice/', "fastcgi_ng_cache_min_uses 2;\n");
    $at->('/bypass/', "fastcgi_ng_cache_bypass \$arg_now;\n"
        . "fastcgi_ng_no_cache \$arg_drop;\n");
    # as the files that everybody includes have it
    $at->('/include/', "fastcgi_ng_param REQUEST_METHOD \$request_method;\n");
    $at->('/post/', "fastcgi_ng_cache_methods POST;\n");
    $host->start;

    my $ask = sub {
        my ($path, @more) = @_;
        my $r = $host->get($path, @more);
        return ($r->header('X-Cache') // '-', $r);
    };
    my $twice = sub {
        my ($path, $want, $what, @more) = @_;
        my ($first, $r1) = $ask->($path, @more);
        my ($second, $r2) = $ask->($path, @more);
        is("$first $second", $want, $what);
        return ($r1, $r2);
    };

    # Hits and misses.
    my $status;
    my ($r1, $r2) = $twice->('/c/a', 'MISS HIT', 'a miss, then a hit');
    is($r2->{body}, $r1->{body}, 'the same response');
    is($r2->header('Content-Type'), 'text/plain', 'with its head');
    ($r1, $r2) = $twice->('/c/large', 'MISS HIT', 'a large one');
    ok($r2->{body} eq $r1->{body} && length $r1->{body} > 200_000, 'whole');
    ($r1, $r2) = $twice->('/c/stderr', 'MISS HIT', 'with much STDERR');
    is($r2->{body}, $r1->{body}, 'the same response');
    ($r1, $r2) = $twice->('/c/bighead', 'MISS MISS',
        'a head that is larger than buffer_size is not kept');
    is(length $r2->header('X-Large'), 10_000, 'but answered');
    $twice->('/c/secret', 'MISS MISS', 'no-store is not kept');
    $twice->('/c/cookie', 'MISS MISS', 'nor is a cookie');
    $twice->('/c/accel', 'MISS HIT', 'X-Accel-Expires');
    $twice->('/valid/secret', 'MISS HIT', 'cache_valid without its headers');
    ($r1, $r2) = $twice->('/c/vary', 'MISS HIT', 'Vary: one language',
        headers => ['Accept-Language' => 'de']);
    $twice->('/c/vary', 'MISS HIT', 'Vary: another',
        headers => ['Accept-Language' => 'en']);
    my (undef, $r) = $ask->('/c/vary', headers => ['Accept-Language' => 'de']);
    is($r->{body}, $r1->{body}, 'Vary: the first again');
    is(($ask->('/twice/a'))[0] . ($ask->('/twice/a'))[0]
        . ($ask->('/twice/a'))[0], 'MISSMISSHIT', 'min_uses');
    $ask->('/bypass/a');
    is(($ask->('/bypass/a'))[0], 'HIT', 'kept');
    is(($ask->('/bypass/a?x=1&drop=1'))[0] . ($ask->('/bypass/a?x=1&drop=1'))[0],
        'MISSMISS', 'no_cache');
    my $posted = $host->post('/post/a', 'x')->header('X-Cache');
    is($posted . $host->post('/post/a', 'x')->header('X-Cache'), 'MISSHIT',
        'POST, where it is asked for');

    # HEAD.
    $r = $host->request('HEAD', '/c/head');
    is($r->{status}, 200, 'HEAD');
    is($r->header('X-Cache'), 'MISS', 'HEAD is a miss');
    ok($r->{complete} && $r->{body} eq '', 'HEAD has no body');
    ($status, $r) = $ask->('/c/head');
    is($status, 'HIT', 'GET after HEAD is a hit');
    like($r->{body}, qr/^head \d+$/, 'and has the body');
    is($host->request('HEAD', '/include/head')->{status}, 200,
        'HEAD where REQUEST_METHOD is set');
    like($host->get('/include/head')->{body}, qr/^head \d+$/,
        'GET after it has the body');
    $ask->('/c/head2');
    $r = $host->request('HEAD', '/c/head2');
    is($r->header('X-Cache'), 'HIT', 'HEAD after GET is a hit');
    ok($r->{complete} && $r->{body} eq '', 'and has no body');

    # What was cut short must not be kept.
    for my $how (qw(cut cutend cutopen)) {
        my ($first, $r1) = $ask->("/c/$how");
        my ($second, $r2) = $ask->("/c/$how");
        isnt($second, 'HIT', "$how: not kept") or diag $host->new_log;
        ok(!$r1->{complete}, "$how: never looks complete")
            or diag "$r1->{status} $r1->{body}";
    }

    # Many that wait for one.
    $app->forget;
    my @clients = map { $host->client } 1 .. 5;
    $_->send(FCNG::HTTP::head('GET', '/lock/slow')) for @clients;
    ok($app->wait_event('request'), 'one asks');
    sleep 0.3;
    $app->open_gate('go');
    my @got = map { $_->response(seconds => 5) } @clients;
    is(scalar(grep { $_->{body} eq $got[0]{body} } @got), 5,
        'all get that answer');
    is(scalar $app->events('request'), 1, 'the application was asked once');
    $_->close for @clients;
    $app->close_gate('go');

    # Revalidation.
    $app->forget;
    $ask->('/revalidate/etag', headers => ['If-None-Match' => '"mine"']);
    is($app->wait_event('asked')->{with}, '-',
        'the first time without conditions of the client');
    sleep 2.1;
    is(($ask->('/revalidate/etag'))[0], 'REVALIDATED', 'asked whether it is');
    is($app->wait_event('asked', count => 2)->{with}, '"one"',
        'with what is kept');
    is(($ask->('/revalidate/etag'))[0], 'HIT', 'kept for as long again');

    # Refreshed in the background.
    my (undef, $old) = $ask->('/background/fresh');
    sleep 2.1;
    $app->open_gate('slow');
    ($status, my $now) = $ask->('/background/fresh', seconds => 3);
    is($status, 'STALE', 'the old one at once');
    is($now->{body}, $old->{body}, 'is what was kept');
    is(($ask->('/background/fresh', seconds => 3))[0], 'UPDATING',
        'while the new one is on its way');
    $app->open_gate('go')->close_gate('slow');
    ok(wait_until(5, sub {
        my ($status, $r) = $ask->('/background/fresh');
        return $status eq 'HIT' && $r->{body} ne $old->{body};
    }), 'then the new one') or diag $host->new_log;

    # The application fails, and is away.
    (undef, $old) = $ask->('/stale/fails');
    (undef, my $brief) = $ask->('/stale/brief');
    sleep 2.1;
    $app->open_gate('fail');
    ($status, $now) = $ask->('/stale/fails');
    is("$status $now->{status} $now->{body}", "STALE 200 $old->{body}",
        'what is kept in place of a 503');
    wait_until(3, sub { my ($in, $out) = $app->counts; $in == $out });
    $app->stop;
    ($status, $now) = $ask->('/stale/brief', seconds => 5);
    is("$status $now->{status} $now->{body}", "STALE 200 $brief->{body}",
        'and while it is down');
    is(($ask->('/c/a'))[0], 'HIT', 'what is kept needs no application');
    is($host->get('/c/other', seconds => 5)->{status}, 502,
        'what is not kept does');
    $app->start;
    is(($ask->('/c/other'))[0], 'MISS', 'it is back');
});
