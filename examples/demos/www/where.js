// Where the broker is: beside these pages. serve_pages.py, which serves them from elsewhere, says something else here.
export const broker = "/bayeux";
