# SPDX-License-Identifier: BSD-2-Clause
#
# Several servers in an upstream{} of nginx: its balancers choose, and
# fastcgi_ng_next_upstream, its tries and its timeout say when another one is
# asked.  What may not be repeated is asked of one server only.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(random_bytes slurp wait_until);
use FCNG::Wire qw(end_request);
use Test::More;
use Time::HiRes qw(time);

my (%app, $host);

# What |name| does with a request is in its first letters.
sub app {
    my ($name) = @_;
    return $app{$name} //= FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        $r->note('asked');
        return $r->die_now if $name =~ /^dies/;
        return $r->conn->wait_closed(5), $r->die_now if $name =~ /^stalls/;
        return $r->answer("Status: 503 Busy\r\n\r\nfull") if $name =~ /^busy/;
        return $r->answer("no head\r\n\r\n") if $name =~ /^garbles/;
        return $r->send(end_request($r->{id}, 0, 2))
            if $name =~ /^overloaded/;
        $r->text("$name " . sha256_hex($body));
    });
}

sub asked { return scalar $app{$_[0]}->events('asked') }
sub forget { $_->forget for values %app; $host->mark_log }

# upstream("name", "server options"...): "good1 weight=2" is a server.
sub upstream {
    my ($name, @lines) = @_;
    my $text = join '', map {
        my ($app, $options) = split / /, $_, 2;
        /;$/ ? "$_\n" : 'server ' . ($app{$app} || app($app))->address
            . ' ' . ($options // '') . ";\n" } @lines;
    $host->main(nginx => "upstream $name {\n$text}\n");
}

sub location {
    my ($path, $upstream, @more) = @_;
    my $text = join '', map { "fastcgi_ng_$_;\n" } @more;
    $host->server(nginx => "location $path {\nfastcgi_ng_pass $upstream;\n"
        . "$text}\n");
}

# So many requests; how many each server answered.
sub shares {
    my ($path, $times) = @_;
    my %share;
    for (1 .. $times) {
        my $r = $host->get($path, seconds => 5);
        my ($who) = $r->{body} =~ /^(\w+) /;
        $share{$r->{status} == 200 ? $who // '?' : $r->{status}}++;
    }
    return join ' ', map { "$_:$share{$_}" } sort keys %share;
}

FCNG::Hosts->each(only => 'nginx', sub {
    ($host) = @_;
    my $log = $host->dir . '/logs/access.log';
    $host->main(nginx => 'log_format up "$uri $upstream_addr|'
        . '$upstream_status|$fastcgi_ng_pool|$fastcgi_ng_reused|'
        . '$fastcgi_ng_queue_time|$fastcgi_ng_connect_time|'
        . '$fastcgi_ng_first_byte_time|$fastcgi_ng_app_status|'
        . '$fastcgi_ng_stream_id";');
    $host->server(nginx => "access_log $log up;");
    app($_) for qw(gone good1);
    $app{gone}->stop;

    upstream(even => qw(good1 good2 good3));
    location('/even', 'even');
    upstream(weighted => 'good1 weight=3', 'good2');
    location('/weighted', 'weighted');
    upstream(backup => 'gone', 'good2 backup', 'good3 down');
    location('/backup', 'backup');
    upstream(hashed => 'hash $arg_key;', qw(good1 good2 good3));
    location('/hashed', 'hashed');
    upstream(least => 'least_conn;', 'zone least 64k;', qw(good1 good2));
    location('/least', 'least');
    upstream(pooled => 'fastcgi_ng_pool max_idle=0;', 'good1', 'good2');
    location('/pooled', 'pooled', 'pool max_idle=9');

    for my $bad (qw(dies stalls busy garbles overloaded)) {
        upstream($bad => "${bad} max_fails=0", 'good1 backup');
        location("/$bad", $bad, 'read_timeout 300ms');
        location("/$bad-all", $bad, 'read_timeout 300ms', 'next_upstream '
            . 'error timeout invalid_header http_503 non_idempotent');
        location("/$bad-off", $bad, 'read_timeout 300ms',
            'next_upstream off');
    }
    upstream(four => map { "dies$_ max_fails=0" } 1 .. 4);
    location('/four', 'four');
    location('/tries', 'four', 'next_upstream_tries 2');
    upstream(slow => map { "stalls$_ max_fails=0" } 1 .. 4);
    location('/slow', 'slow', 'read_timeout 200ms',
        'next_upstream_timeout 300ms');
    upstream(fails => 'dies5 fail_timeout=1s', 'good1');
    location('/fails', 'fails');
    $host->expect(qr/\[crit\].*connect\(\) to unix:/)->start;

    is(shares('/even', 9), 'good1:3 good2:3 good3:3', 'round robin');
    is(shares('/weighted', 8), 'good1:6 good2:2', 'weights');
    is(shares('/backup', 4), 'good2:4', 'backup, down, one that is gone');
    is(shares('/hashed?key=1', 4) =~ /^good\d:4$/, 1, 'hash');
    is(shares('/least', 4), 'good1:2 good2:2', 'least_conn, with a zone');
    forget();
    shares('/pooled', 4);
    is((grep { $_->{flags} & 1 } map { $_->events('request') }
        @app{qw(good1 good2)}), 0, 'fastcgi_ng_pool of upstream{} wins');

    # [what, status by default, with all conditions, with off; the same of
    # a POST]
    for my $case (
            [dies => 200, 200, 502, 502, 200, 502],
            [stalls => 200, 200, 504, 504, 200, 504],
            [busy => 503, 200, 503, 503, 200, 503],
            [garbles => 502, 200, 502, 502, 200, 502],
            [overloaded => 200, 200, 503, 200, 200, 503]) {
        my ($bad, @status) = @$case;
        my $body = random_bytes(300_000, $bad);
        for my $method (qw(GET POST)) {
            for my $way ('', '-all', '-off') {
                my $status = shift @status;
                forget();
                my $r = $host->request($method, "/$bad$way", seconds => 5,
                    $method eq 'POST' ? (body => $body) : ());
                my $what = "$method /$bad$way";
                is($r->{status}, $status, "$what: $status")
                    or diag($host->new_log);
                is(asked($bad), 1, "$what: the first was asked once");
                is(asked('good1'), $status == 200 ? 1 : 0,
                    "$what: the other " . ($status == 200 ? 'too' : 'not'));
                is($r->{body}, 'good1 ' . sha256_hex($method eq 'POST'
                    ? $body : ''), "$what: with the whole body")
                    if $status == 200;
            }
        }
    }

    my $asked = sub { my $n = 0; $n += asked("$_[0]$_") for 1 .. 4; $n };
    forget();
    is($host->get('/four')->{status}, 502, 'four that die');
    is($asked->('dies'), 4, 'all are asked');
    forget();
    is($host->get('/tries')->{status}, 502, 'next_upstream_tries 2');
    is($asked->('dies'), 2, 'two are asked');
    forget();
    my $start = time;
    is($host->get('/slow')->{status}, 504, 'next_upstream_timeout 300ms');
    cmp_ok(time - $start, '<', 0.9, 'does not wait for all');
    cmp_ok($asked->('stalls'), '<=', 2, 'nor asks all');

    forget();
    is(shares('/fails', 10), 'good1:10', 'one that fails is passed over');
    is(asked('dies5'), 1, 'after one failure');
    select undef, undef, undef, 2.1;
    shares('/fails', 4);
    is(asked('dies5'), 2, 'until fail_timeout');

    my $address = $app{good1}->address;
    my ($gone, $good2) = map { $app{$_}->address } qw(gone good2);
    wait_until(3, sub { slurp($log) =~ m{/fails} });
    my $lines = slurp($log);
    like($lines, qr{^/even\ \Q$address\E\|200\|even\|[01]\|0\.000\|
        0\.00\d\|0\.\d{3}\|0\|[12]$}mx, 'the variables of a request');
    like($lines, qr{^/backup \Q$gone\E, \Q$good2\E\|502, 200\|backup\|}m,
        'all servers that were asked');
    # It was ended from outside: its connections cannot be counted.
    push @{ $host->{apps} }, map { $app{$_} } grep { $_ ne 'gone' } keys %app;
});
