# SPDX-License-Identifier: BSD-2-Clause
#
# Where nginx keeps what a slow client has not taken yet: in
# fastcgi_ng_temp_path, by default the folder for temporary files of fastcgi
# that nginx was built with and "_ng".
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Host::Nginx;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes run_bounded slurp);
use Digest::SHA ();
use Test::More;

my $missing = FCNG::Host::Nginx->missing;
$missing //= 'nginx is not among the hosts to test'
    if !grep { $_ eq 'nginx' } FCNG::Hosts::wanted();
plan skip_all => $missing if $missing;

# The folder of fastcgi that |binary| was built with.
sub built_with {
    my ($binary) = @_;
    my (undef, $out, $err) = run_bounded(10, $binary, '-V');
    return "$out$err" =~ /--http-fastcgi-temp-path=(\S+)/ ? $1
        : 'fastcgi_temp';
}

# A large response to a client that waits before it reads.
sub spills {
    my ($host, $folder) = @_;
    my $block = random_bytes(1 << 20);
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->out("Content-Type: application/octet-stream\r\n\r\n");
        $r->out($block) for 1 .. 16;
        $r->end;
        $r->note('written');
    });
    $host->location('/app/', app => $app)->start;
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/app/x', close => 1));
    ok($app->wait_event('written'), 'all of it is taken from the application');
    ok($host->wait_log(qr{buffered to a temporary file \Q$folder\E/[\d/]+ }),
        "it is in $folder") or diag($host->log);
    my ($sha, $want) = map { Digest::SHA->new(256) } 1 .. 2;
    $want->add($block) for 1 .. 16;
    my $r = $client->response(seconds => 20, sink => sub { $sha->add($_[0]) });
    is($r->{size}, 16 << 20, 'the client gets all of it');
    is($sha->hexdigest, $want->hexdigest, 'each byte right');
    $client->close;
    $host->finish;
}

subtest 'as configured' => sub {
    my $host = FCNG::Host::Nginx->new;
    spills($host, $host->dir . '/tmp/fastcgi_ng');
};

# As root nginx would make the folder of the system itself.
subtest 'by default: what the module has been built with' => sub {
    plan skip_all => 'nginx module not built' if !FCNG::Host::Nginx->module;
    my $folder = built_with(FCNG::Util::find_tool($ENV{FCNG_NGINX}
        || 'nginx')) . '_ng';
    like(slurp(FCNG::Host::Nginx->module), qr/\0\Q$folder\E\0/, $folder);
};

my $static = $ENV{FCNG_NGINX_STATIC} || '';
subtest 'by default: linked in' => sub {
    plan skip_all => 'source of nginx missing' if !-x $static;
    my $folder = built_with($static);
    plan skip_all => 'nginx has a folder of the system' if $folder =~ m{^/};
    local $ENV{FCNG_NGINX} = $static;
    my $host = FCNG::Host::Nginx->new(default_temp_path => 1);
    # The worker may write there.
    chmod 0777, $host->dir;
    spills($host, $host->dir . "/${folder}_ng");
};
done_testing();
