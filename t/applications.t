# SPDX-License-Identifier: BSD-2-Clause
#
# Other people's FastCGI libraries: libfcgi, Go's net/http/fcgi, FCGI::Async.
# Parameters, bodies and kept connections through each, by both kinds of
# socket.
use strict;
use warnings;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(random_bytes);
use Test::More;

my %line = (
    libfcgi => qr/^X_TEST=a value$/m,
    go => qr/^X_TEST=a value$/m,
    async => qr/^X_TEST=a value$/m,
);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my @found;
    for my $name (sort keys %line) {
        my $missing = FCNG::Programs->missing($name);
        if ($missing) {
            SKIP: { skip $missing, 1 }
            next;
        }
        push @found, $name;
        for my $listen (qw(unix tcp)) {
            my $app = FCNG::Programs->$name(listen => $listen);
            $host->location("/$name-$listen/", app => $app,
                params => [X_TEST => 'a value'],
                pool => { split_large_params => 'on' });
        }
    }
    $host->main(nginx => 'large_client_header_buffers 8 128k;')
        ->main(apache => 'LimitRequestFieldSize 131072')->start;
    my $text = join '', map { "line $_\n" } 1 .. 5000;
    for my $name (@found) {
        for my $listen (qw(unix tcp)) {
            my $path = "/$name-$listen/x";
            my $r = $host->get("$path?env");
            is($r->{status}, 200, "$path: status");
            like($r->{body}, $line{$name}, "$path: a parameter");
            # In two records: these libraries put it together.
            my $large = join '', map { chr 97 + $_ % 26 } 1 .. 70_000;
            $r = $host->get("$path?env", headers => ['X-Large' => $large]);
            ok(index($r->{body}, $large) > 0, "$path: one of 70 000 bytes");
            my $client = $host->client;
            for my $n (1 .. 5) {
                $r = $client->request_on('POST', $path, body => "$n$text");
                ok($r->{body} eq "$n$text", "$path: body $n comes back");
            }
            $r = $client->request_on('POST', $path, body => $text,
                chunked => 1);
            ok($r->{body} eq $text, "$path: a chunked one too");
            $client->close;
        }
    }
    if (grep { $_ eq 'async' } @found) {
        is($host->get('/async-unix/x?http')->{status}, 201,
            'a status line in place of Status');
        is($host->get('/async-unix/x?exit=3')->{status}, 200,
            'appStatus leaves the response alone');
        like($host->wait_log(qr/FCNG010/), qr/status 3\b/, 'and is told');
        $host->get('/async-unix/x?stderr');
        like($host->wait_log(qr/FCNG011/), qr/a line for the log/,
            'STDERR goes to the log');
    }
    # Eight threads of libfcgi, each bound to its connection.
    if (grep { $_ eq 'libfcgi' } @found) {
        my @clients = map { $host->client } 1 .. 24;
        $_->send(FCNG::HTTP::head('GET', '/libfcgi-unix/x?size=100000',
            close => 1)) for @clients;
        my $ok = 0;
        $ok += $_->response(seconds => 20)->{size} == 100_000 for @clients;
        is($ok, 24, 'more clients than threads');
        $_->close for @clients;
    }
});
