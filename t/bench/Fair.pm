# SPDX-License-Identifier: BSD-2-Clause
#
# Kind fair: nginx and Apache beside each other on one php-fpm that Debian's
# own pool file configures: five children for all.  Both ours, with nothing
# configured but the address; then both with what comes with them, keeping
# connections as well, and keeping none.
package Fair;

use strict;
use warnings;
use FCNG::HTTP ();
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(slurp tmpdir);
use Bench;
use Time::HiRes qw(sleep time);

use constant { LONGEST => 5, LENGTH => 6 };    # seconds

my @ways = (['ng', 'ours'], ['builtin', 'built in, keeping'],
    ['closing', 'built in, closing']);
my $line = "%-7s %-17s %8s %9s %9s %7s %9s\n";

sub measure {
    my $file = (glob '/etc/php/*/fpm/pool.d/www.conf')[0];
    my ($lack) = grep { $_ } FCNG::Programs->missing('php_fpm'),
        FCNG::Host::Nginx->missing, FCNG::Host::Apache->missing,
        $file ? () : "Debian's php-fpm pool file missing";
    if ($lack) {
        note("fair: $lack");
        return;
    }
    printf "\nnginx and Apache on one php-fpm of five children, %d clients "
        . "each\n", CLIENTS;
    printf $line, 'server', '', 'req/s', 'p50 ms', 'p99 ms', 'failed',
        'unserved';
    for my $way (@ways) {
        my $php = FCNG::Programs->php_fpm(pool_file => $file);
        my @hosts = map { host($_, $php->address, $way) }
            qw(Nginx Apache);
        for my $host (@hosts) {
            my $r = $host->get('/x.php');
            die 'bench: ' . $host->name . ": $way->[1]: $r->{status}\n"
                . $host->log if $r->{body} ne 'served';
        }
        my @clients = map { clients($_) } @hosts;
        sleep LENGTH;
        $_->{load}->stop for @clients;
        report($_, $way) for @clients;
        $_->stop for @hosts;
        $php->stop;
    }
}

# As many processes as in t/slow/fair.t.
sub host {
    my ($kind, $address, $way) = @_;
    my $stock = $way->[0] ne 'ng';
    my $keeps = $way->[0] eq 'builtin';
    my $host = "FCNG::Host::$kind"->new(log_level => 'error',
        stock => $stock, workers => $kind eq 'Nginx' ? 8 : 4, threads => 32,
        load => $stock ? [qw(proxy proxy_fcgi)] : []);
    # Five milliseconds, of which two are work.
    my $script = $host->file('x.php', '<?php $x = 0; for ($i = 0; '
        . '$i < 100000; $i++) $x += $i; usleep(3000); echo "served";');
    if ($stock) {
        my %words = $keeps ? (up => 'keepalive 16;', on => 'on')
            : (up => '', on => 'off');
        my $params = Servers::params();
        $host->main(nginx => "upstream php {\nserver $address;\n"
            . "$words{up}\n}\n");
        $host->server(
            nginx => "location = /x.php {\nfastcgi_pass php;\n"
                . "fastcgi_keep_conn $words{on};\n$params}\n",
            apache => "ProxyPass \"/x.php\" \"$address|fcgi://localhost"
                . "$script\" enablereuse=$words{on}\n");
    }
    else {
        $host->server(
            nginx => "location = /x.php {\nfastcgi_ng_pass $address;\n}\n",
            apache => "FastCgiNgPool php $address\n<Files x.php>\n"
                . "SetHandler fastcgi-ng:php\n</Files>\n");
    }
    return $host->start;
}

# Each notes what became of its requests, in a file of its own: 1 or 0, the
# seconds that it took, and when it was over.
sub clients {
    my ($host) = @_;
    my ($dir, $port) = (tmpdir(), $host->port);
    my $load = FCNG::Load->start(CLIENTS, sub {
        my ($i) = @_;
        my $from = time;
        my $r = FCNG::HTTP::get($port, '/x.php', seconds => LONGEST);
        my $at = time;
        my $good = $r->{status} == 200 && $r->{body} eq 'served' ? 1 : 0;
        open my $out, '>>', "$dir/$i" or die "$dir/$i: $!\n";
        print $out join(' ', $good, $at - $from, $at), "\n";
        close $out;
        sleep 0.05 if !$good;
        return '';
    }, seconds => LENGTH);
    return { host => $host, load => $load, dir => $dir, from => time };
}

# What failed counts with the time that it took.
sub report {
    my ($clients, $way) = @_;
    my ($rate, $failed, $unserved, @took) = (0, 0, 0);
    for my $i (1 .. CLIENTS) {
        my @all = map { [split] } split /\n/, slurp("$clients->{dir}/$i");
        my @good = grep { $_->[0] } @all;
        $failed += @all - @good;
        $unserved += !@good;
        $rate += grep { $_->[2] <= $clients->{from} + LENGTH } @good;
        push @took, map { 1000 * $_->[1] } @all;
    }
    my $name = $clients->{host}->name;
    @took = sort { $a <=> $b } @took;
    my %r = (rate => $rate / LENGTH, failed => $failed,
        unserved => $unserved, p50_ms => $took[$#took / 2],
        p99_ms => $took[$#took * 0.99]);
    $Bench::result{fair}{$name}{$way->[0]} = \%r;
    printf $line, $name, $way->[1], int $r{rate},
        (map { sprintf '%.1f', $_ } @r{qw(p50_ms p99_ms)}), $failed,
        $unserved;
    return if $way->[0] ne 'ng';
    bar("$name: fair: failed requests", $failed, '<=', 0, '%d');
    bar("$name: fair: p99 against p50", $r{p99_ms} / $r{p50_ms}, '<=', 3,
        '%.2f');
}

1;
