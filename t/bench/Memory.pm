# SPDX-License-Identifier: BSD-2-Clause
#
# Kinds growth and peak: the memory of the server's processes.
package Memory;

use strict;
use warnings;
use Bench;
use Measure;
use Servers;

use constant LARGE => 256; # MiB

# The largest process's growth in KiB over so many requests.
sub growth {
    my ($name) = @_;
    my $app = application();
    my $host = server($name, $app);
    my %load = (url => $host->url('/ng/1024'), clients => CLIENTS);
    my $rate = 0;
    my $send = sub {
        my ($left) = @_;
        while ($left > 0) {
            my $for = $rate ? int($left / $rate) : 1;
            my $run = Measure::load(%load,
                seconds => $for < 1 ? 1 : $for > 20 ? 20 : $for);
            $rate = $run->{rate};
            $left -= $run->{requests};
        }
        return -$left;
    };
    $send->($Bench::requests / 10);
    my $before = $host->memory('VmRSS');
    my $over = $send->($Bench::requests);
    my $after = $host->memory('VmRSS');
    note(sprintf '%s: %d requests, VmRSS %d -> %d KiB', $name,
        $Bench::requests + $over, $before, $after);
    bar("$name: growth over $Bench::requests requests, KiB",
        $after - $before, '<=', 1024, '%d');
    $host->stop;
}

# How much more memory a large body takes at most.
sub peak {
    my ($name) = @_;
    my $app = application();
    my $size = LARGE * MIB;
    for my $way (qw(response request)) {
        my $host = server($name, $app);
        Measure::download($host->port, '/ng/1024') for 1 .. 3;
        my $before = $host->memory('VmHWM');
        my $got = $way eq 'response'
            ? Measure::download($host->port, "/ng/$size")
            : Measure::upload($host->port, '/ng/1024', $size);
        die "bench: a body of $got bytes\n"
            if $got != ($way eq 'response' ? $size : 1024);
        my $after = $host->memory('VmHWM');
        note(sprintf '%s: %s body of %d MiB, VmHWM %d -> %d KiB', $name,
            $way, LARGE, $before, $after);
        bar("$name: $way body of " . LARGE . ' MiB, more memory, KiB',
            $after - $before, '<=', 16 * 1024, '%d');
        $host->stop;
    }
}

1;
