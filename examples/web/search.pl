# A small web server: it finds lines of a text.
#
#   perl search.pl PORT TEXT
#
#   /             how to ask
#   /?word=prism  the lines that hold the word
#   /health       200 once the text is in memory
#
# Needs nothing but Debian's perl-base.
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $file) = @ARGV;
defined $file or die "usage: search.pl PORT TEXT\n";
open my $text, '<', $file or die "cannot open $file: $!\n";
chomp(my @lines = <$text>);
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 16, ReuseAddr => 1)
  or die "cannot listen on port $port: $@\n";
$| = 1;
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { print "told to stop\n"; exit 0 };
print "searching ", scalar @lines, " lines of $file on port $port\n";

while (1) {
    my $client = $server->accept or next;
    # A client that says nothing must not keep the others waiting.
    eval {
        local $SIG{ALRM} = sub { die "slow\n" };
        alarm 5;
        answer($client);
    };
    alarm 0;
    close $client;
}

sub answer {
    my ($client) = @_;
    my ($path, $query) = (<$client> // '') =~ m{^GET (/[^ ?]*)(?:\?(\S*))? HTTP/1} or return say_to($client, 400, "only GET is known\n");
    while (defined(my $header = <$client>)) { last if $header =~ /^\r?$/ }
    return say_to($client, 200, "ready\n") if $path eq '/health';
    return say_to($client, 404, "no such page\n") if $path ne '/';
    my ($word) = ($query // '') =~ /^word=([A-Za-z]+)$/ or return say_to($client, 200, "ask for /?word=prism\n");
    my @found = map { ($_ + 1) . ": $lines[$_]\n" } grep { $lines[$_] =~ /\b\Q$word\E\b/i } 0 .. $#lines;
    print "$word: ", scalar @found, " lines\n";
    say_to($client, @found ? 200 : 404, @found ? join('', @found) : "no line holds $word\n");
}

sub say_to {
    my ($client, $status, $body) = @_;
    my %word = (200 => 'OK', 400 => 'Bad Request', 404 => 'Not Found');
    print $client "HTTP/1.1 $status $word{$status}\r\nContent-Type: text/plain; charset=utf-8\r\n",
      "Content-Length: ", length $body, "\r\nConnection: close\r\n\r\n", $body;
}
