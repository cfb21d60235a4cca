# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing configured but the address of a php-fpm that Debian's own pool file
# configures (five children at most): sixty-four clients for half a minute,
# then one alone.  Nobody fails, nobody is starved.
use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(slurp tmpdir);
use List::Util qw(sum min);
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{FAIR_SECONDS} // 30;

my $file = (glob '/etc/php/*/fpm/pool.d/www.conf')[0];
my $missing = FCNG::Programs->missing('php_fpm');
plan skip_all => $missing if $missing;
plan skip_all => "Debian's php-fpm pool file missing" if !$file;

# Each client's times, in files of their own.
sub clients {
    my ($host, $n, $for) = @_;
    my $dir = tmpdir();
    my $port = $host->port;
    my %file;
    my $load = FCNG::Load->start($n, sub {
        my ($i) = @_;
        my $from = time;
        my $r = FCNG::HTTP::get($port, '/x.php', seconds => 30);
        my $took = time - $from;
        open my $out, '>>', "$dir/$i" or die "$dir/$i: $!\n";
        print $out "$took\n";
        close $out;
        return $r->{status} == 200 && $r->{body} eq 'served' ? ''
            : "status $r->{status} " . ($r->{error} // '');
    }, seconds => $for + 30);
    sleep $for;
    my (undef, @faults) = $load->stop;
    is(join(', ', @faults), '', 'no request failed');
    return map { [split /\n/, slurp("$dir/$_")] } 1 .. $n;
}

sub at {
    my ($part, @times) = @_;
    return (sort { $a <=> $b } @times)[$part * $#times];
}

FCNG::Hosts->each(workers => 4, threads => 32, sub {
    my ($host) = @_;
    my $php = FCNG::Programs->php_fpm(pool_file => $file);
    $host->file('x.php', '<?php $x = 0; for ($i = 0; $i < 100000; $i++)'
        . ' $x += $i; usleep(3000); echo "served";');
    $host->files('.php', app => $php);
    $host->status_at('/status');
    $host->start;

    my @lists = clients($host, 64, $seconds);
    my @all = map { @$_ } @lists;
    my ($p50, $p99) = (at(0.5, @all), at(0.99, @all));
    cmp_ok($p99, '<=', 3 * $p50, sprintf '%d requests: p50 %.1f ms, p99'
        . ' %.1f ms, longest %.1f ms', scalar @all, 1000 * $p50,
        1000 * $p99, 1000 * at(1, @all));
    my $mean = @all / @lists;
    my $least = min(map { scalar @$_ } @lists);
    cmp_ok($least, '>=', $mean / 2, sprintf 'nobody is starved: at least %d,'
        . ' on average %.0f', $least, $mean);

    my ($alone) = clients($host, 1, $seconds / 6);
    ($p50, $p99) = (at(0.5, @$alone), at(0.99, @$alone));
    cmp_ok($p99, '<=', 3 * $p50, sprintf 'one alone, %d requests: p50 %.1f'
        . ' ms, p99 %.1f ms', scalar @$alone, 1000 * $p50, 1000 * $p99);
    my ($row) = values %{ $host->status };
    is($row->{complete}, $row->{requests}, 'each was answered at once');
});
