# SPDX-License-Identifier: BSD-2-Clause
#
# Parameters arrive byte for byte: every byte above 0x7f, empty values, long
# ones.  One that FastCGI applications commonly cannot read is refused with a
# reason, unless the operator says that this one can.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->text('ok') });
    my $high = join '', map { chr } 0x80 .. 0xff;
    $host->location('/app/', app => $app, params => [
        T_HIGH => $high, T_EMPTY => '', T_SPACE => ' a  b ',
        T_QUOTE => q{it's "so"}, T_LENGTH_127 => 'x' x 127,
        T_LENGTH_128 => 'y' x 128, T_LENGTH_255 => 'z' x 255,
        REQUEST_SCHEME => 'other',
    ]);
    $host->location('/split/', app => $app,
        pool => { split_large_params => 'on' });
    $host->main(nginx => 'large_client_header_buffers 8 128k;')
        ->main(apache => 'LimitRequestFieldSize 131072');
    $host->start;

    my $ask = sub {
        my ($path, @headers) = @_;
        $app->forget;
        my $r = $host->get($path, headers => \@headers);
        is($r->{status}, 200, "$path is answered") or return {};
        my $seen = $app->wait_event('request') or return {};
        ok($seen->{aligned}, 'each record holds whole pairs')
            if $path !~ /^.split/;
        return $seen->{env};
    };

    my $env = $ask->("/app/x?q=$high", 'X-High' => $high, 'X-Empty' => '',
        'X-Twice' => 'one', 'X-Twice' => 'two',
        Cookie => 'a=1', Cookie => 'b=2');
    is($env->{T_HIGH}, $high, 'bytes 0x80 to 0xff, configured');
    is($env->{HTTP_X_HIGH}, $high, 'the same from a header');
    is($env->{QUERY_STRING}, "q=$high", 'and in the query');
    is($env->{T_EMPTY}, '', 'an empty value is sent as one');
    is($env->{HTTP_X_EMPTY}, '', 'an empty header too');
    is($env->{T_SPACE}, ' a  b ', 'white space is kept');
    is($env->{T_QUOTE}, q{it's "so"}, 'quotes are kept');
    is($env->{"T_LENGTH_$_"}, { 127 => 'x', 128 => 'y', 255 => 'z' }->{$_}
        x $_, "a value of $_ bytes") for 127, 128, 255;
    is($env->{REQUEST_SCHEME}, 'other', 'a default is replaced');
    is($env->{HTTP_X_TWICE}, 'one, two', 'fields of one name are joined');
    # httpd has joined them before a module sees the request.
    is($env->{HTTP_COOKIE}, $host->is_nginx ? 'a=1; b=2' : 'a=1, b=2',
        'cookies');

    my $long = 'L' x 60_000;
    $env = $ask->('/app/long', 'X-Long' => $long);
    is(length($env->{HTTP_X_LONG} // ''), 60_000, '60 000 bytes');
    ok(($env->{HTTP_X_LONG} // '') eq $long, 'each of them right');

    # Several that together need more than one record.
    $env = $ask->('/app/many', map { ("X-N$_" => $_ x 20_000) } 1 .. 5);
    is(length($env->{"HTTP_X_N$_"} // ''), 20_000, "P10: field $_ of five, over 16 KiB each")
        for 1 .. 5;

    my $larger = 'M' x 70_000;
    $app->forget;
    $host->mark_log;
    my $r = $host->get('/app/larger', headers => ['X-Larger' => $larger]);
    is($r->{status}, 500, '70 000 bytes are refused');
    my $line = $host->wait_log(qr/FCNG013/);
    like($line, qr/larger than 65528 bytes.*split_large_params=on/,
        'the log says why, and what to write');
    unlike($line // '', qr/MMMM/, 'and not the value');
    is(scalar $app->events('request'), 0, 'the application sees nothing');
    is($host->get('/app/after')->{status}, 200, 'the next one is served');

    $env = $ask->('/split/larger', 'X-Larger' => $larger);
    ok(($env->{HTTP_X_LARGER} // '') eq $larger,
        'with split_large_params it arrives');
});
