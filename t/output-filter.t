# SPDX-License-Identifier: BSD-2-Clause
#
# Any response through a Filter application: what it is sent and what the
# client gets.  The same against each server:
#
#   $host->output_filter('/dir/', app => $app, options => {
#       output_filter_types => 'text/html', output_filter_on_error => 'pass',
#       output_filter_max_size => '1m' });
#
# puts the filter before the files of a folder of the document root (nginx: a
# location with fastcgi_ng_output_filter, Apache: a Location with
# FastCgiNgOutputFilter).  Defaults: text/html, fail, 64m.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

sub filter {
    my ($r) = @_;
    my $data = $r->data;
    return if $r->{gone};
    return $r->answer("Content-Type: text/html\r\n\r\n" . uc $data);
}

FCNG::Hosts->each(needs => 'output_filter', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->body; filter(@_) });
    $host->file('p/a.html', 'hello filter');
    $host->output_filter('/p/', app => $app,
        nginx => 'default_type text/html;');
    $host->start;
    my $r = $host->get('/p/a.html');
    is("$r->{status} $r->{body}", '200 HELLO FILTER', 'a page')
        or diag($host->log);
});
