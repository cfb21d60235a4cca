# SPDX-License-Identifier: BSD-2-Clause
#
# Debian's shibauthorizer: what needs no session is granted, for the rest the
# client is sent away to get one, with all that Shibboleth says.
use strict;
use warnings;
use FCNG::Hosts;
use FCNG::Programs;
use Test::More;

plan skip_all => FCNG::Programs->missing('shibboleth')
    if FCNG::Programs->missing('shibboleth');

# Behind protect() as any other application.
package FCNG::Address {
    sub new { bless { address => $_[1] }, $_[0] }
    sub address { $_[0]{address} }
}

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $shib = FCNG::Programs->shibboleth(host => 'localhost',
        http_port => $host->port);
    my $auth = FCNG::Address->new($shib->{authorizer});
    $host->file("$_/file", "file in $_") for qw(open secure);
    $host->protect('/open/', app => $auth);
    $host->protect('/secure/', app => $auth);
    $host->location('/Shibboleth.sso/', address => $shib->{responder});
    $host->start;

    for my $n (1 .. 3) {
        my $r = $host->get('/open/file');
        is("$r->{status} $r->{body}", '200 file in open', "granted, $n")
            or diag($host->log, $shib->log);
    }
    my $client = $host->client;
    for my $n (1 .. 3) {
        my $r = $client->request_on('GET', '/secure/file?a=b');
        is($r->{status}, 302, "sent away, $n");
        like($r->header('Location'), qr{^https://ds\.example\.org/\?entityID=
            https%3A%2F%2Flocalhost%2Fshibboleth&return=}x, 'to where');
        like(join(' ', $r->header('Set-Cookie')), qr/^_shibstate_\S+=/,
            'with its cookie') or diag($r->{raw_head});
        unlike($r->{body}, qr/file in secure/, 'and nothing of the file');
        last if defined $client->{eof};
    }
    my $r = $host->post('/secure/file', 'x' x 100_000);
    is($r->{status}, 302, 'POST');
    $r = $host->get('/Shibboleth.sso/Session');
    like($r->{body}, qr/valid session was not found/i, 'shibresponder');
});
